"""One lane of a run at work: several generations under way at once, written in the order of their numbers.

`Lane.run` is the loop of a generator. It begins generations as long as limits and back-pressure let it, keeps those
that are ready before their turn, and ends when the last call under way has ended. An error ends it too, in the same
way, and is raised then; a second signal does not wait.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from producers.backends.base import Backend, RequestRefused
from producers.calls import Caller, Cause, Halted
from producers.limits import Limits
from producers.progress import Progress, ProgressReader
from producers.styles import Generated, Style
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import InstructionsGenerated

OnGeneration = Callable[[InstructionsGenerated], None]

_HELD_BACK_S = 0.2  # between two looks at the log while the filter or the trainer is behind
_REFUSED_IN_A_ROW = 3  # generations that are written empty because their request was refused


@dataclass
class Lane:
    """The state of a generator at work.

    whole     generations that have all their answers and wait for those before them
    causes    for each of them the event that it follows from
    refused   generations in a row whose request was refused
    """

    run_name: str
    name: str
    concurrency: int
    limits: Limits
    style: Style
    reader: ProgressReader
    caller: Caller
    backend: Backend
    on_generation: OnGeneration | None
    whole: dict[int, InstructionsGenerated] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)
    written: int = 0
    refused: int = 0
    instructions: int = 0
    waited_s: dict[str, float] = field(default_factory=dict)
    error: BaseException | None = None
    next_to_begin: int = 0
    next_to_write: int = 0
    at_once: bool = False
    signals: int = 0

    async def run(self) -> None:
        progress = self.reader.progress
        self._check_style(progress)
        self.next_to_begin = self.next_to_write = progress.next_number
        with self._signals(asyncio.current_task()):
            try:
                await self._work()
            except asyncio.CancelledError:
                if not self.signals:
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
                # One that is slow must not let the others run far ahead: what they made waits in memory.
                room = len(running) < self.concurrency and (
                    self.next_to_begin - self.next_to_write < 4 * self.concurrency
                )
                if room and await self._may_begin():
                    running.add(asyncio.create_task(self._generation(self.next_to_begin)))
                    self.next_to_begin += 1
                    continue
                if not running:
                    break
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _may_begin(self) -> bool:
        """Wait until the next generation may begin; False when none may."""
        while self.caller.halted is None:
            progress = await self.caller.progress()
            complete = self.limits.complete(progress, self.next_to_begin)
            if complete is not None:
                if self.next_to_begin == self.next_to_write:
                    self.caller.halt(complete)
                return False
            reached = self.limits.reached(progress)
            if reached is not None:
                self.caller.halt(reached)
                return False
            kept_ends = None
            if self.limits.max_ahead is not None:
                kept_ends = await asyncio.to_thread(self.reader.kept_ends)
            behind = self.limits.wait(progress, kept_ends)
            if behind is None:
                return True
            self.waited_s[behind] = self.waited_s.get(behind, 0.0) + _HELD_BACK_S
            await self.caller.rest(_HELD_BACK_S)
        return False

    async def _generation(self, number: int) -> None:
        """Make one generation; errors are kept until what is under way has ended."""
        try:
            await self._make(number)
            await self._write_whole()
        except Halted:
            pass
        except Exception as error:  # noqa: BLE001 - raised by run, when the calls under way have ended
            self.error = self.error or error
            self.caller.halt(f"an error: {error}")

    async def _make(self, number: int) -> None:
        lane = self.name
        generation_id = ids.generation_id(lane, number)
        seeds, offset, causation_id = await self.caller.look(lambda progress: progress.seeds_of(number))
        cause = Cause(lane, number, generation_id, causation_id)
        caused_by: str | None = None
        try:
            made = await self.style.generate(seeds, lambda step, request: self.caller.ask(cause, step, request))
            self.refused = 0
        except RequestRefused as refusal:
            # These seeds will never be answered, but the next ones may; if they are not either, it is not the seeds.
            self.refused += 1
            if self.refused > _REFUSED_IN_A_ROW:
                raise
            made, caused_by = Generated((), (), ()), refusal.event_id
        costs = [answer.cost_usd for answer in made.answers]
        if made.answers:
            last = made.answers[-1]
            caused_by = ids.child(last.request_id, f"answered/{last.attempt}")
        self.causes[number] = caused_by or causation_id
        self.whole[number] = InstructionsGenerated(
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
        )

    async def _write_whole(self) -> None:
        """Write every generation that has its turn."""
        while (event := self.whole.pop(self.next_to_write, None)) is not None:
            number = self.next_to_write
            id = ids.generation_id(event.lane, number)
            await self.caller.write(event, key=id, id=id, causation_id=self.causes.pop(number))
            self.next_to_write = number + 1
            self.written += 1
            self.instructions += len(event.instructions)
            if self.on_generation is not None:
                self.on_generation(event)

    def _check_style(self, progress: Progress) -> None:
        style = self.style.name
        if progress.unfinished() and progress.style not in (None, style):
            raise ConfigurationError(
                f"Lane {self.name!r} has {progress.unfinished()} unfinished generations begun in the style "
                f"{progress.style}; finish them with it, or give this generator, in the style {style}, its own --lane."
            )

    def _signals(self, task: "asyncio.Task[object] | None") -> "_Handlers":
        def received() -> None:
            self.signals += 1
            if self.signals == 1:
                self.caller.halt("stopped by a signal")
            elif task is not None:
                task.cancel()

        return _Handlers(received)


class _Handlers:
    """SIGTERM and SIGINT call `received` while this context is open, in the main thread; elsewhere nothing happens."""

    def __init__(self, received: Callable[[], None]) -> None:
        self._received = received
        self._on: list[signal.Signals] = []

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._received)
                self._on.append(number)

    def __exit__(self, *_: object) -> None:
        for number in self._on:
            asyncio.get_running_loop().remove_signal_handler(number)
