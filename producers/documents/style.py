"""The `documents` style: candidates for a segment, their scores, and a rewrite of the output if one is wanted.

Steps 0 to k-1 ask for a candidate each, concurrently. Step k asks the scorer for the likelihood of the segment after
each of them. Copies of the segment are not scored: they would win. Step k+1 asks the model to rewrite the segment into
an answer to the candidate that the filter will choose. `streams.core.parse.answers` parses the answers.

Scores fit the candidates that were scored, so these are fixed with them. A generation that was begun and scored by a
generator that died is made of the candidates on the ledger: one that had failed is not asked for again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from producers.backends.base import Backend, Request, RequestRefused, Scoring
from producers.generate.list_style import raise_unless_partial
from producers.generate.styles import Parameters, StyleResult
from producers.generate.subjects import AskWith
from schemas.events import CallAnswered, Instruction
from schemas.policy import Policy
from schemas.segments import Segment
from streams.core.documents.choice import choose
from streams.core.documents.copies import candidate_text, is_copy
from streams.core.parse.answers import AnswerForm, Parser, read_candidates
from streams.core.parse.segment_answers import SegmentAnswers, SegmentForm
from streams.core.similarity.tokenize import tokenizer
from streams.core.steps import DOCUMENTS, rewrite_step, scoring_step


@dataclass(frozen=True, kw_only=True)
class DocumentStyle:
    """How a generation is made from a segment.

    A candidate whose call failed for good is left out. If all failed, the last failure is raised. Without a candidate
    that can be scored, there are no scores; nor if the scoring is refused, which the parameter `scoring_refused` says.
    """

    policy: Policy
    scorer: Backend
    candidates: int
    build: Callable[[str], Request]
    build_rewrite: Callable[[str, Instruction], Request] | None = None
    parameters: Parameters = field(default_factory=dict)
    name: str = DOCUMENTS
    parser: Parser = "strict"

    async def generate(self, segment: Segment, ask: AskWith) -> StyleResult:
        """Make a generation. Raises CallsHalted, or the CallFailure of a call that it cannot do without."""
        answers = await self._candidates(segment, ask)
        found = self._read(segment, answers)
        # A copy makes its segment likelier than any true instruction.
        to_score = tuple(
            None if is_copy(candidate_text(task), segment.text, self.policy) else task for task in found.instructions
        )
        refusal: RequestRefused | None = None
        if any(to_score):
            step = scoring_step(self.candidates)
            try:
                answers[step] = await ask(step, Request(scoring=Scoring(segment.text, to_score)), self.scorer)
            except RequestRefused as refused:
                refusal = refused  # the candidates are paid for
            found = self._read(segment, answers)
        place = await self._rewrite(segment, found, answers, ask)
        if place is not None:
            found = self._read(segment, answers, place)
        parameters: Parameters = {} if place is None else {"rewritten": place}
        if refusal is not None:
            parameters["scoring_refused"] = refusal.reason
        return StyleResult(
            tuple(answers[step] for step in sorted(answers)),
            found.instructions,
            found.unparsed,
            found.cut,
            found.scores,
            parameters,
            refusal,
        )

    async def _candidates(self, segment: Segment, ask: AskWith) -> dict[int, CallAnswered]:
        request, steps = self.build(segment.text), range(self.candidates)
        if await ask.has_answer(scoring_step(self.candidates)):
            asked = [step for step in steps if await ask.has_answer(step)]
        else:
            asked = list(steps)
        # All of them end before anything is raised: each answer is paid for and goes on the ledger.
        outcomes = await asyncio.gather(*(ask(step, request) for step in asked), return_exceptions=True)
        answers = {step: each for step, each in zip(asked, outcomes, strict=True) if isinstance(each, CallAnswered)}
        errors = [each for each in outcomes if isinstance(each, BaseException)]
        raise_unless_partial(errors, bool(answers))
        if not answers:
            raise errors[-1]
        return answers

    async def _rewrite(
        self, segment: Segment, found: SegmentAnswers, answers: dict[int, CallAnswered], ask: AskWith
    ) -> int | None:
        """The place of the instruction that the segment was rewritten for; None: it was not."""
        if self.build_rewrite is None:
            return None
        words_of = tokenizer(self.policy.tokenizer)
        choice = choose(found, segment, self.policy, [words_of(task.instruction) for task in found.instructions])
        place = choice.winner
        if place is None or choice.reasons[place] is not None:
            return None
        step = rewrite_step(self.candidates)
        try:
            answers[step] = await ask(step, self.build_rewrite(segment.text, found.instructions[place]))
        except RequestRefused:
            return None  # its `CallFailed` says why; the segment stays the output
        return place

    def _read(self, segment: Segment, answers: dict[int, CallAnswered], rewritten: int | None = None) -> SegmentAnswers:
        asked = SegmentForm(self.candidates, segment.text, rewritten)
        return read_candidates(AnswerForm(self.name, self.parser, shown=0, segment=asked), answers)
