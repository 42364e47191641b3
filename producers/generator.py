"""A generator: one lane of a run, asking an LLM and writing a generation for each number, one after the other.

How it works: `concurrency` generations are under way at once. Each samples its seeds, asks its calls (`producers.calls`
puts every one on the ledger) and becomes one `InstructionsGenerated`; they are written in the order of their numbers,
so the lane's numbers on the log have no gap. Before each call the log is read up to its end, and limits and
back-pressure are decided from it (`producers.limits`).

What it guarantees: all that it knows is on the log, so that a generator that was killed anywhere goes on where it was:
nothing is written twice, nothing that was answered is asked again, and a generation begun is finished with the seeds
it was begun with. Whether calls that were under way were paid for is not known; the ledger counts them as lost.

It does not know whether another process writes to the same lane at this moment, until it sees that one's calls: then it
stops. Lanes are for that: give each generator its own.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from infra.log import LogWriter
from infra.run import read_run
from infra.settings import Settings
from producers.asking import Asking, style_of
from producers.backends.base import Backend
from producers.backends.choice import open_backend
from producers.backends.recorded import RecordedOptions
from producers.calls import Caller, Cause, Halted, Prices, Retries
from producers.limits import Limits
from producers.progress import Progress, ProgressReader
from producers.styles import Generated, Style
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import InstructionsGenerated

OnGeneration = Callable[[InstructionsGenerated], None]

_HELD_BACK_S = 0.2  # between two looks at the log while the filter or the trainer is behind


@dataclass(frozen=True)
class GenerateOptions:
    """What a generator does, beside its settings.

    recorded      the file of answers, when the settings' backend is `recorded`
    concurrency   generations under way at once
    in_flight     calls under way at once
    """

    run: str
    lane: str = "main"
    asking: Asking = field(default_factory=Asking)
    recorded: RecordedOptions | None = None
    limits: Limits = field(default_factory=Limits)
    retries: Retries = field(default_factory=Retries)
    concurrency: int = 1
    in_flight: int = 16

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.in_flight < 1:
            raise ConfigurationError(
                f"concurrency is {self.concurrency} and in_flight {self.in_flight}; each must be 1 or more."
            )


@dataclass(frozen=True)
class GenerateSummary:
    """What this process did, and why it ended.

    calls         attempts started
    unfinished    generations of the lane begun and not written; their answers are on the ledger for the next start
    waited_s      seconds held back, by who was behind
    at_once       a second signal ended it, calls under way were given up
    """

    lane: str
    ended: str
    generations: int
    instructions: int
    calls: int
    unfinished: int
    waited_s: dict[str, float]
    at_once: bool


def generate(
    options: GenerateOptions, settings: Settings, *, on_generation: OnGeneration | None = None
) -> GenerateSummary:
    """Generate until a limit is reached or a signal comes, with the backend that the settings name.

    SIGTERM or SIGINT lets the calls under way end, writes what is whole, and returns; a second one returns at once.
    Signals are only heeded in the main thread. Raises BackendError when the endpoint fails for good, RunError when the
    run is not there or somebody else writes to the lane, BrokerError when the cluster is away.
    """
    configured, _ = read_run(settings, options.run)
    prices = Prices(settings.usd_per_1m_prompt_tokens, settings.usd_per_1m_completion_tokens)
    limits = _limits(options.limits, settings)
    limits.check(configured.policy, priced=prices.known)
    style = style_of(options.asking, settings)
    backend = open_backend(settings, options.recorded)
    reader = ProgressReader(settings, configured, options.lane, watch_kept=limits.max_ahead is not None)
    try:
        with LogWriter(settings, options.run, f"generator-{options.lane}") as writer:
            caller = Caller(
                backend=backend,
                writer=writer,
                refresh=reader.refresh,
                may_call=limits.reached,
                prices=prices,
                retries=options.retries,
                in_flight=options.in_flight,
                known_attempts=reader.progress.attempts(),
            )
            lane = _Lane(options, limits, style, reader, caller, backend, on_generation)
            asyncio.run(lane.run())
        return GenerateSummary(
            lane=options.lane,
            ended=caller.halted or "stopped",
            generations=lane.written,
            instructions=lane.instructions,
            calls=caller.started,
            unfinished=reader.refresh().unfinished(),
            waited_s=lane.waited_s,
            at_once=lane.at_once,
        )
    finally:
        reader.close()


def _limits(limits: Limits, settings: Settings) -> Limits:
    return limits if limits.max_filter_lag is not None else replace(limits, max_filter_lag=settings.max_filter_lag)


@dataclass
class _Lane:
    """The state of a generator at work.

    whole   generations that have all their answers and wait for those before them
    """

    options: GenerateOptions
    limits: Limits
    style: Style
    reader: ProgressReader
    caller: Caller
    backend: Backend
    on_generation: OnGeneration | None
    whole: dict[int, InstructionsGenerated] = field(default_factory=dict)
    written: int = 0
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
                room = len(running) < self.options.concurrency and (
                    self.next_to_begin - self.next_to_write < 4 * self.options.concurrency
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
        lane = self.options.lane
        generation_id = ids.generation_id(lane, number)
        seeds, offset, causation_id = self.reader.progress.seeds_of(number)
        cause = Cause(lane, number, generation_id, causation_id)
        made: Generated = await self.style.generate(seeds, lambda step, request: self.caller.ask(cause, step, request))
        costs = [answer.cost_usd for answer in made.answers]
        self.whole[number] = InstructionsGenerated(
            lane=lane,
            number=number,
            style=self.style.name,
            parser=self.style.parser,
            backend=self.backend.name,
            model=made.answers[0].model,
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
            id, last = ids.generation_id(event.lane, number), event.answers[-1]
            caused_by = ids.child(last.request_id, f"answered/{last.attempt}")
            await self.caller.write(event, key=id, id=id, causation_id=caused_by)
            self.next_to_write = number + 1
            self.written += 1
            self.instructions += len(event.instructions)
            if self.on_generation is not None:
                self.on_generation(event)

    def _check_style(self, progress: Progress) -> None:
        style = self.style.name
        if progress.unfinished() and progress.style not in (None, style):
            raise ConfigurationError(
                f"Lane {self.options.lane!r} has {progress.unfinished()} unfinished generations begun in the style "
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
