"""A preview at work: asks for a few generations at once, decides on them in order, and asks for the answers to what is
kept.

Decisions are made by the filter's own functions (`streams.core.decider`), each with what the generations before it
kept. They depend on the answers and the state alone, not on the order in which answers come.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from producers.backends.base import Backend, RequestRefused
from producers.calls.caller import CallCause, Caller, CallsHalted
from producers.calls.refusals import Refusals
from producers.calls.stop_signals import BY_SIGNAL, run_until_stopped
from producers.generate.answer_styles import AnswerStyle
from producers.generate.styles import StyleResult
from producers.generate.subjects import GenerationCalls, GenerationSubject, SeedSubjects
from producers.preview.previewed import PreviewedGeneration, PreviewedInstruction
from schemas import ids
from schemas.events import InstructionKept, InstructionsGenerated, Rejection, Unparsed
from streams.core.answering import answers_later, read_answer
from streams.core.call_sums import CallSums, Price
from streams.core.decider import FilterState, apply, decide
from streams.core.steps import steps_of

OnPreviewed = Callable[[PreviewedGeneration], None]


@dataclass(frozen=True, kw_only=True)
class PreviewServices:
    """What a preview works with.

    answers   how kept instructions are answered; None: a generation holds their answers, or there are none to ask for
    price     of an answer whose cost is not recorded
    """

    subjects: SeedSubjects
    answers: AnswerStyle | None
    caller: Caller
    backend: Backend
    price: Price
    on_previewed: OnPreviewed


@dataclass
class PreviewLane:
    """The generations of these numbers of a lane, with the filter's state, which changes.

    seeds       texts of the run's initial seeds, by id
    found       generations that are done, in order
    error       what ended it
    signalled   whether a signal did
    """

    name: str
    numbers: Sequence[int]
    state: FilterState
    seeds: Mapping[str, str]
    services: PreviewServices
    found: list[PreviewedGeneration] = field(default_factory=list)
    error: BaseException | None = None
    signalled: bool = False
    _refusals: Refusals = field(default_factory=Refusals)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def run(self) -> None:
        """Ask until all is answered, a limit is reached, or a signal comes. Raises the first error of a generation."""
        cancelled = await run_until_stopped(self._work, self.services.caller.halt, self.services.backend)
        self.signalled = cancelled or self.services.caller.halted == BY_SIGNAL
        if self.error is not None:
            raise self.error

    async def _work(self) -> None:
        try:
            asked = []
            for number in self.numbers:
                subject = await self.services.subjects.subject(number)
                asked.append((number, subject, self._begin(self._ask(number, subject))))
            answered = []
            for each in asked:
                with suppress(CallsHalted):  # those that are there already are shown
                    answered.append(self._begin(self._answer(*await self._decided(*each))))
            for task in answered:
                self.found.append(await task)
                self.services.on_previewed(self.found[-1])
        except CallsHalted:
            pass
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - raised by run, when the calls in flight have ended
            self.error = error
            self.services.caller.halt(f"an error: {error}")
        finally:
            # Calls in flight end, so that their answers are on the ledger.
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        self._tasks.append(asyncio.create_task(work))
        return self._tasks[-1]

    async def _ask(self, number: int, subject: GenerationSubject) -> StyleResult:
        """The generation's result; a refused one is empty and says why."""
        try:
            result = await subject.make(GenerationCalls(self.services.caller, self._cause(number, subject)))
        except RequestRefused as refusal:
            if self._refusals.too_many(refusal):
                raise
            return StyleResult((), (), (Unparsed(reason=refusal.reason, text=str(refusal)),), refusal=refusal)
        self._refusals.answered()
        return result

    async def _decided(
        self, number: int, subject: GenerationSubject, asked: "asyncio.Task[StyleResult]"
    ) -> tuple[CallCause, PreviewedGeneration, tuple[InstructionKept, ...]]:
        """The generation with its verdicts, and the rows that it keeps."""
        result = await asked
        style, cause = self.services.subjects.style, self._cause(number, subject)
        event = InstructionsGenerated(
            lane=self.name,
            number=number,
            style=style.name,
            parser=style.parser,
            backend=self.services.backend.name,
            model=self.services.backend.model,
            parameters={},
            seed_ids=subject.seed_ids,
            seed_commands_offset=subject.seed_commands_offset,
            answers=(),
            instructions=result.instructions,
            unparsed=result.unparsed,
            cost_usd=None,
            cut=result.cut,
        )
        verdict = decide(self.state, self.state.applied + 1, cause.generation_id, event)
        apply(self.state, verdict.decision)
        rejections = {each.place: each for each in verdict.rejected.rejections}
        clusters = {row.place: row.cluster for row in verdict.decision.kept}
        later = answers_later(self.state.policy, style.name)
        generation = PreviewedGeneration(
            number=number,
            seed_ids=subject.seed_ids,
            instructions=tuple(
                PreviewedInstruction(
                    instruction=task.instruction,
                    input=task.input,
                    output=task.output,
                    cluster=clusters.get(place),
                    answered=not later,
                    **self._rejected(rejections.get(place)),
                )
                for place, task in enumerate(result.instructions)
            ),
            unparsed=len(result.unparsed),
            refused=None if result.refusal is None or result.answers else str(result.refusal),
            requests=CallSums.of(result.answers, self.services.price),
        )
        return cause, generation, verdict.decision.kept

    async def _answer(
        self, cause: CallCause, generation: PreviewedGeneration, rows: tuple[InstructionKept, ...]
    ) -> PreviewedGeneration:
        """The generation with the answers to what it keeps, as far as calls are made."""
        style = self.services.answers
        if style is None:
            return generation
        answered = await asyncio.gather(*(self._answer_row(style, cause, row) for row in rows))
        tasks, sums = list(generation.instructions), CallSums()
        for place, task, found in (each for each in answered if each is not None):
            tasks[place], sums = msgspec.structs.replace(tasks[place], **task), sums + found
        return msgspec.structs.replace(
            generation, instructions=tuple(tasks), answers=sums, answered=sum(each is not None for each in answered)
        )

    async def _answer_row(
        self, style: AnswerStyle, cause: CallCause, row: InstructionKept
    ) -> tuple[int, dict[str, Any], CallSums] | None:
        """The fields of the instruction at a place that its answer gives; None when it was not asked for."""
        steps = steps_of(style.name, row.place)
        try:
            found = await style.answer(
                row.instruction, lambda step, request: self.services.caller.ask(cause, steps[step], request)
            )
        except CallsHalted:
            return None
        failure = None
        if found.failure is None:
            self._refusals.answered()
        elif not isinstance(found.failure, RequestRefused) or self._refusals.too_many(found.failure):
            raise found.failure
        else:
            failure = Unparsed(reason=found.failure.reason, text=str(found.failure))
        read = read_answer(self.state.policy, row, style.name, found.answers, failure)
        fields = {"input": read.row.input, "output": read.row.output, "unused": read.reason, "answered": True}
        return row.place, fields, CallSums.of(found.answers.values(), self.services.price)

    def _cause(self, number: int, subject: GenerationSubject) -> CallCause:
        id = ids.generation_id(self.name, number)
        return CallCause(self.name, number, id, subject.causation_id, subject.kept_shown, subject.steering)

    def _rejected(self, rejection: Rejection | None) -> dict[str, Any]:
        if rejection is None:
            return {}
        nearest = rejection.nearest_id or ""
        row = self.state.kept.get(nearest)
        return {
            "rejected": rejection.reason,
            "similarity": rejection.similarity,
            "nearest": self.seeds.get(nearest) if row is None else row.instruction,
        }
