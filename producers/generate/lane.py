"""One lane of a run at work: several generations in progress at once, written in the order of their numbers.

`Lane.run` is a generator's main loop. It begins generations as far as `producers.generate.admission` lets it, holds
those that are ready before their turn, and ends when the last call in flight has ended. An error ends it in the same
way and is raised then. A second signal cancels the calls in flight.
"""

import asyncio
import time

import msgspec

from infra.metrics import declared
from infra.metrics.meters import meters
from infra.tracing.spans import is_exporting
from producers.backends.base import RequestRefused
from producers.calls.call_spans import export_generation, export_subject
from producers.calls.caller import CallCause, CallsHalted
from producers.calls.cost import total_cost
from producers.calls.event_size import larger_than_a_record
from producers.calls.stop_signals import run_until_stopped
from producers.generate.admission import Admission
from producers.generate.lane_parts import GeneratorState, LaneOptions, LaneServices
from producers.generate.styles import StyleResult
from producers.generate.subjects import GenerationCalls
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import InstructionsGenerated, Unparsed
from streams.core.parse.answers import READING


class Lane:
    """A generator at work."""

    def __init__(self, options: LaneOptions, services: LaneServices) -> None:
        progress = services.reader.progress
        self.state = GeneratorState(progress.next_number, progress.next_number, progress.begun_end)
        self.services = services
        self._options = options
        self._caller = services.caller
        self._admission = Admission(options, services, self.state)
        self._begun: dict[int, tuple[CallCause, int]] = {}  # of generations whose spans are exported

    async def run(self) -> None:
        """Generate until a limit, the stall guard, a signal or an error ends it.

        Raises ConfigurationError for unfinished generations of another style, and the first error of a generation.
        """
        self._check_style()
        try:
            self.state.cancelled = await run_until_stopped(self._work, self._caller.halt, self.services.backend)
        finally:
            await self.services.subjects.close()
        if self.state.error is not None:
            raise self.state.error

    async def _work(self) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                for number in await self._admission.next_numbers(len(running)):
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

    async def _generation(self, number: int) -> None:
        """Make and write one generation. Errors are kept until the calls in flight have ended."""
        try:
            self.state.ready[number] = await self._generate(number)
            await self._write_ready()
        except CallsHalted:
            pass
        except Exception as error:  # noqa: BLE001 - raised by run, when the calls in flight have ended
            self.state.error = self.state.error or error
            self._caller.halt(f"an error: {error}")

    async def _generate(self, number: int) -> tuple[InstructionsGenerated, str]:
        """Make one generation. Returns it with the id of the event that caused it."""
        lane, style, backend = self._options.name, self.services.subjects.style, self.services.backend
        begun_ns = time.time_ns()
        subject = await self.services.subjects.subject(number)
        causation_id = subject.causation_id
        cause = CallCause(
            lane, number, ids.generation_id(lane, number), causation_id, subject.kept_shown, subject.steering
        )
        if is_exporting():
            self._begun[number] = cause, begun_ns
            export_subject(self._options.run, cause, subject.seed_ids, subject.seed_commands_offset, begun_ns)
        try:
            result = await subject.make(GenerationCalls(self._caller, cause))
        except RequestRefused as refusal:
            # This one will never be answered, but the next ones may be.
            if self.state.refusals.too_many(refusal):
                raise
            unparsed = Unparsed(reason=refusal.reason, text=str(refusal))
            result, causation_id = StyleResult((), (), (unparsed,)), refusal.event_id or causation_id
        else:
            if result.refusal is None:
                self.state.refusals.answered()
            elif self.state.refusals.too_many(result.refusal):
                raise result.refusal
        if result.answers:
            last = result.answers[-1]
            causation_id = ids.call_answered_id(last.request_id, last.attempt)
        event = InstructionsGenerated(
            lane=lane,
            number=number,
            style=style.name,
            parser=style.parser,
            backend=backend.name,
            model=result.answers[0].model if result.answers else backend.model,
            parameters={**style.parameters, **result.parameters},
            seed_ids=subject.seed_ids,
            seed_commands_offset=subject.seed_commands_offset,
            answers=result.answers,
            instructions=result.instructions,
            unparsed=result.unparsed,
            cost_usd=total_cost(result.answers),
            kept_shown=subject.kept_shown,
            reading=READING,
            cut=result.cut,
            segment=subject.segment,
            scores=result.scores,
            steering=subject.steering,
        )
        return _writable(event), causation_id

    async def _write_ready(self) -> None:
        """Write every generation whose turn it is, unless another task is doing so."""
        state = self.state
        while not state.writing and state.next_to_write in state.ready:
            batch: list[tuple[InstructionsGenerated, str]] = []
            while (item := state.ready.pop(state.next_to_write + len(batch), None)) is not None:
                batch.append(item)
            state.writing = True
            try:
                await asyncio.gather(*(self._write(event, causation_id) for event, causation_id in batch))
            finally:
                state.writing = False
            state.next_to_write += len(batch)
            state.written += len(batch)
            for event, _ in batch:
                state.instructions += len(event.instructions)
                self._observe(event)
                if self.services.on_generation is not None:
                    self.services.on_generation(event)

    async def _write(self, event: InstructionsGenerated, causation_id: str) -> None:
        id = ids.generation_id(event.lane, event.number)
        await self._caller.write(event, key=id, id=id, causation_id=causation_id)

    def _observe(self, event: InstructionsGenerated) -> None:
        """Count a generation that is on the log, and export its span."""
        by = meters()
        by.add(declared.GENERATIONS)
        by.add(declared.GENERATED, len(event.instructions))
        by.add(declared.UNPARSED, len(event.unparsed))
        begun = self._begun.pop(event.number, None)
        if begun is not None:
            export_generation(self._options.run, event, *begun)

    def _check_style(self) -> None:
        progress, style = self.services.reader.progress, self.services.subjects.style.name
        if progress.unfinished() and progress.style not in (None, style):
            raise ConfigurationError(
                f"Lane {self._options.name!r} has {progress.unfinished()} unfinished generations begun in the style "
                f"{progress.style}. Finish them with it, or give this generator, in the style {style}, its own --lane."
            )


def _writable(event: InstructionsGenerated) -> InstructionsGenerated:
    """The generation; or, if it is larger than a record may be, an empty one that says so.

    Answers that fit one by one can be too large together. An earlier version may have stored one that is too large.
    """
    larger = larger_than_a_record(event)
    if not larger:
        return event
    why = f"The generation has {larger}; its answers are on `calls`."
    unparsed = (Unparsed(reason="too_large", text=why),)
    return msgspec.structs.replace(event, answers=(), instructions=(), unparsed=unparsed, cut=(), scores=None)
