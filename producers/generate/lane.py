"""One lane of a run at work: several generations under way at once, written in the order of their numbers.

`Lane.run` is the loop of a generator. It begins generations as long as limits, back-pressure and the stall guard let
it, keeps those that are ready before their turn, and ends when the last call under way has ended. An error ends it too,
in the same way, and is raised then; a second signal does not wait.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from infra.cluster.connection import MAX_RECORD_BYTES
from producers.backends.base import Backend, RequestRefused
from producers.calls.caller import CallCause, Caller, CallsHalted
from producers.calls.limits import Behind, Limits
from producers.calls.refusals import Refusals
from producers.calls.stop_signals import StopSignals
from producers.generate.backpressure import Backpressure
from producers.generate.kept_reader import KeptReader
from producers.generate.progress import LaneProgress
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import Stalled, StallGuard
from producers.generate.styles import Style, StyleResult
from producers.generate.trainer_backlog import TrainerBacklogReader
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import GenerationHalted, InstructionsGenerated, Unparsed
from streams.core.kept_so_far import ShownRows, beside
from streams.core.ledger import WINDOW
from streams.core.parse.answers import READING

OnGeneration = Callable[[InstructionsGenerated], None]

_HELD_BACK_S = 0.2  # between two looks at the log while the filter or the trainer is behind
_ENVELOPE_BYTES = 64 * 1024  # of a record, kept for its key and headers
_AHEAD = 4  # times `concurrency`: what is ready and waits for one that is slow is held in memory


@dataclass
class Lane:
    """The state of a generator at work.

    untrained counts the rows ahead of training; only needed when these are limited
    holding   whom it waited for, and for how long
    whole     generations that have all their answers and wait for those before them
    causes    for each of them the event that it follows from
    refusals  of requests in a row, whose generations are written empty
    halted    what the stall guard found
    resumed   the number after those that an earlier process had begun: they may need no call any more, so that they are
              begun again whatever was spent; and first, lest a budget that was raised is spent on beginning others
    """

    run_name: str
    name: str
    concurrency: Callable[[], int]
    limits: Limits
    guard: StallGuard
    style: Style
    reader: ProgressReader
    caller: Caller
    backend: Backend
    on_generation: OnGeneration | None
    kept: KeptReader | None
    untrained: TrainerBacklogReader | None = None
    holding: Backpressure = field(default_factory=lambda: Backpressure(lambda _: None))
    whole: dict[int, InstructionsGenerated] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)
    written: int = 0
    refusals: Refusals = field(default_factory=Refusals)
    instructions: int = 0
    error: BaseException | None = None
    next_to_begin: int = 0
    next_to_write: int = 0
    halted: Stalled | None = None
    writing: bool = False
    at_once: bool = False
    resumed: int = 0

    async def run(self) -> None:
        progress = self.reader.progress
        self._check_style(progress)
        self.next_to_begin = self.next_to_write = progress.next_number
        self.resumed = progress.begun_end
        with StopSignals(self.caller.halt) as signals:
            try:
                await self._work()
            except asyncio.CancelledError:
                if not signals.received:
                    raise
                self.at_once = True
            finally:
                with suppress(asyncio.CancelledError):
                    await self.backend.close()
        if self.error is not None:
            raise self.error

    async def _work(self) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                for number in await self._to_begin(len(running)):
                    running.add(asyncio.create_task(self._generation(number)))
                if not running:
                    break
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _to_begin(self, running: int) -> Sequence[int]:
        """The numbers of the generations that begin now; none when no more may, or there is no room."""
        concurrency = self.concurrency()
        # One that is slow must not let the others run far ahead, nor further than the ledger remembers.
        ahead = min(_AHEAD * concurrency, WINDOW - 1) - (self.next_to_begin - self.next_to_write)
        room = min(concurrency - running, ahead)
        if self.limits.spending and self.next_to_write < self.resumed:
            room = min(room, self.resumed - self.next_to_begin)
        if room <= 0 or not await self._may_begin():
            return ()
        progress, first = await self.caller.look(lambda progress: progress), self.next_to_begin
        while self.next_to_begin < first + room:
            begun, candidates = self.next_to_begin, self.style.candidates
            if self.limits.complete(progress, begun, candidates) is not None:
                break
            if begun > first and self.limits.enough(progress, begun, candidates):
                break
            self.next_to_begin += 1
        return range(first, self.next_to_begin)

    async def _may_begin(self) -> bool:
        """Wait until the next generation may begin; False when none may."""
        while self.caller.halted is None:
            progress = await self.caller.progress()
            complete = self.limits.complete(progress, self.next_to_begin, self.style.candidates)
            if complete is not None:
                if self.next_to_begin == self.next_to_write:
                    self.caller.halt(complete)
                return False
            limits = self.limits.without_spending if self.next_to_begin < self.resumed else self.limits
            reached = limits.reached(progress)
            if reached is not None:
                self.caller.halt(reached)
                return False
            if await self._stalled(progress):
                return False
            ahead = await self._ahead()
            behind: Behind | None = self.limits.wait(progress, ahead, self.style.candidates)
            if behind is None and self.limits.enough(progress, self.next_to_begin, self.style.candidates):
                behind = "target"
            self.holding.look(behind, self.limits, progress, ahead)
            if behind is None:
                return True
            await self.caller.rest(_HELD_BACK_S)
        return False

    async def _ahead(self) -> int | None:
        """Kept rows that training has not reached, None when nobody asks; read only if they may be too many."""
        most = self.limits.max_ahead
        if most is None or self.untrained is None:
            return None
        at_most, trained, trained_to = await self.caller.look(
            lambda progress: (progress.untrained_at_most, dict(progress.trained), dict(progress.trained_to))
        )
        return at_most if at_most <= most else await asyncio.to_thread(self.untrained.count, trained, trained_to)

    async def _stalled(self, progress: LaneProgress) -> bool:
        """Whether the guard holds the lane; then that is on the log, as an effect of the verdict that tipped it."""
        found = self.guard.stalled(progress.rolling)
        if found is None:
            return False
        last = progress.rolling.verdicts[-1]
        event = GenerationHalted(
            lane=self.name,
            reason=found.reason,
            rule=found.rule,
            value=found.value,
            floor=found.floor,
            generated_total=last.generated_total,
            kept_total=last.kept_total,
        )
        cause = ids.verdict_id(last.offset)
        id = ids.child(cause, f"halted/{self.name}/{found.rule}/{found.floor}")
        await self.caller.write(event, key=self.run_name, id=id, causation_id=cause)
        self.halted = found
        self.caller.halt(found.reason)
        return True

    async def _generation(self, number: int) -> None:
        """Make one generation; errors are kept until what is under way has ended."""
        try:
            await self._make(number)
            await self._write_whole()
        except CallsHalted:
            pass
        except Exception as error:  # noqa: BLE001 - raised by run, when the calls under way have ended
            self.error = self.error or error
            self.caller.halt(f"an error: {error}")

    async def _make(self, number: int) -> None:
        lane = self.name
        generation_id = ids.generation_id(lane, number)
        seeds, offset, causation_id = await self.caller.look(lambda progress: progress.seeds_of(number))
        shown = ShownRows() if self.kept is None else await asyncio.to_thread(self.kept.shown, number)
        seeds = beside(seeds, len(shown.kept))
        cause = CallCause(lane, number, generation_id, causation_id, shown.recorded)
        caused_by: str | None = None
        try:
            made = await self.style.generate(
                seeds, lambda step, request: self.caller.ask(cause, step, request), shown.kept
            )
            self.refusals.answered()
        except RequestRefused as refusal:
            # These seeds will never be answered, but the next ones may; if they are not either, it is not the seeds.
            if self.refusals.too_many(refusal):
                raise
            why = Unparsed(reason=refusal.reason, text=str(refusal))
            made, caused_by = StyleResult((), (), (why,)), refusal.event_id
        costs = [answer.cost_usd for answer in made.answers]
        if made.answers:
            last = made.answers[-1]
            caused_by = ids.child(last.request_id, f"answered/{last.attempt}")
        self.causes[number] = caused_by or causation_id
        generated = InstructionsGenerated(
            lane=lane,
            number=number,
            style=self.style.name,
            parser=self.style.parser,
            backend=self.backend.name,
            model=made.answers[0].model if made.answers else self.backend.model,
            parameters=self.style.parameters(),
            seed_ids=tuple(seed.id for seed in seeds),
            seed_commands_offset=offset,
            answers=made.answers,
            instructions=made.instructions,
            unparsed=made.unparsed,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            kept_shown=shown.recorded,
            reading=READING,
            cut=made.cut,
        )
        self.whole[number] = _writable(generated)

    async def _write_whole(self) -> None:
        """Write every generation that has its turn, unless that is being done."""
        while not self.writing and self.next_to_write in self.whole:
            turn: list[InstructionsGenerated] = []
            while (event := self.whole.pop(self.next_to_write + len(turn), None)) is not None:
                turn.append(event)
            self.writing = True
            try:
                await asyncio.gather(*(self._write(event) for event in turn))
            finally:
                self.writing = False
            self.next_to_write += len(turn)
            self.written += len(turn)
            for event in turn:
                self.instructions += len(event.instructions)
                if self.on_generation is not None:
                    self.on_generation(event)

    async def _write(self, event: InstructionsGenerated) -> None:
        id = ids.generation_id(event.lane, event.number)
        await self.caller.write(event, key=id, id=id, causation_id=self.causes.pop(event.number))

    def _check_style(self, progress: LaneProgress) -> None:
        style = self.style.name
        if progress.unfinished() and progress.style not in (None, style):
            raise ConfigurationError(
                f"Lane {self.name!r} has {progress.unfinished()} unfinished generations begun in the style "
                f"{progress.style}; finish them with it, or give this generator, in the style {style}, its own --lane."
            )


def _writable(event: InstructionsGenerated) -> InstructionsGenerated:
    """The generation, or in its place an empty one that says why, if it is larger than a record may be.

    Answers of which each may be stored can be too large together, and one that an earlier version stored, alone.
    """
    size = len(msgspec.json.encode(event))
    if size <= MAX_RECORD_BYTES - _ENVELOPE_BYTES:
        return event
    why = f"The generation has {size:,} bytes, and a record at most {MAX_RECORD_BYTES:,}; its answers are on `calls`."
    unparsed = (Unparsed(reason="too_large", text=why),)
    return msgspec.structs.replace(event, answers=(), instructions=(), unparsed=unparsed, cut=())
