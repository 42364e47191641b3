"""The explanation of an id: the story of an instruction, a seed, a generation, a request, a document, or a part of an
evaluation."""

from collections.abc import Callable, Mapping
from typing import Any

from consumers.copied_fields import fields_of
from consumers.explain.answered_story import answered_of
from consumers.explain.document_story import document_of
from consumers.explain.evaluation_story import answer_of, judgement_of, question_of
from consumers.explain.evidence import Evidence, gather, outcome_of
from consumers.explain.generation_story import generation_of, requests_from
from consumers.explain.history import RunHistory
from consumers.explain.locate import Kind, Subject, locate
from consumers.explain.model_story import model_of
from consumers.explain.schema.explanation import Explanation, RequestOutcome
from consumers.explain.schema.instruction import (
    AnswerStory,
    ClassifierInForce,
    InstructionStory,
    InstructionSummary,
    Judgement,
    NearestRow,
    RuleResult,
    VerdictStory,
)
from consumers.explain.segment_story import segment_of
from consumers.explain.spans import instruction_span
from consumers.explain.training_story import became_seed, candidacies_of, seed_of, training_of
from consumers.folds.deduplicate import ReadProgress, no_progress
from infra.log.source import Source
from schemas import ids
from schemas.errors import RunError
from schemas.events import CallStarted, InstructionsGenerated
from streams.core.answering import answers_later
from streams.core.documents.choice import CHOICE_REASONS
from streams.core.preview import is_preview
from streams.core.rules import RULES
from streams.core.similarity.tokenize import tokenizer
from streams.core.steps import steps_of

_STORIES: Mapping[Kind, Callable[[Source, str, ReadProgress], Any]] = {
    "document": document_of,
    "question": question_of,
    "answer": answer_of,
    "judgement": judgement_of,
    "model": model_of,
}
"""Stories that need no evidence of the whole run, by kind, which is also their field of an Explanation."""


def explain(source: Source, id: str, progress: ReadProgress = no_progress) -> Explanation:
    """The explanation of the thing with this `id`, or with an id that starts so.

    The run is read twice at most, in memory that does not grow with it; for a whole id, the first time up to the thing.
    `progress` is called with how many more records were read. Raises RunError when there is no such run, when nothing
    has the id, or when several ids start so.
    """
    subject = locate(source, id, progress)
    if len(subject.kinds) == 1 and (tell := _STORIES.get(kind := subject.kinds[0])) is not None:
        story = {kind: tell(source, subject.id, progress)}
        return Explanation(run=source.run, id=subject.id, kinds=subject.kinds, **story)
    found = gather(source, subject, progress)
    generated = "generation" in subject.kinds or "request" in subject.kinds
    return Explanation(
        run=source.run,
        id=subject.id,
        kinds=subject.kinds,
        instruction=_instruction(found) if "instruction" in subject.kinds else None,
        seed=seed_of(found) if "seed" in subject.kinds else None,
        made=_request_outcome(found) if generated else None,
    )


# -- an instruction ------------------------------------------------------------------------------------------------


def _instruction(found: Evidence) -> InstructionStory:
    subject, policy = found.subject, found.history.configured.policy
    generation = generation_of(found)
    if found.generation is None or generation is None or subject.place is None:
        raise RunError(
            f"Instruction {subject.id} was decided, but its generation {subject.generation_id} is not on `generated`: "
            "the log is incomplete. Check it with `sedi report`."
        )
    event = found.generation[1]
    task = event.instructions[subject.place]
    later = answers_later(policy, event.style)
    rules = [
        RuleResult(name=name, passed=not breaks(task, policy))
        for name, breaks in RULES.items()
        if name in policy.rules and not (later and name == "empty_output")  # then that is decided on its answer
    ]
    if event.reading > 1 and policy.reject_cut:
        rules.insert(0, RuleResult(name="cut_output", passed=subject.place not in event.cut))
    rules.append(RuleResult(name="no_tokens", passed=bool(tokenizer(policy.tokenizer)(task.instruction))))
    nearest = None if found.nearest is None else found.nearest.result()
    kept = found.kept.get(subject.id)
    answered = answered_of(found, subject.id)
    row = task if answered is None or answered.at is None else answered
    return InstructionStory(
        id=subject.id,
        place=subject.place,
        instruction=task.instruction,
        input=row.input,
        output=row.output,
        generation=generation,
        answers=_answers(event, subject),
        rules=tuple(rules),
        verdict=_verdict(found, rules, nearest),
        nearest=nearest,
        cluster=None if kept is None else kept[1].cluster,
        classifier=_classifier(found.history, generation.at.offset if kept is None else kept[1].classifier_offset),
        training=training_of(found, subject.id),
        candidacies=candidacies_of(found, subject.id),
        segment=segment_of(found),
        answered=answered,
        judged=tuple(
            Judgement(
                at=at,
                judge=event.judge.name,
                backend=event.judge.backend,
                score=event.score,
                least=event.scale.least,
                most=event.scale.most,
                reason=event.reason,
                raws=tuple(answer.raw for answer in event.answers),
                cost_usd=event.cost_usd,
            )
            for at, event in found.judged.values()
        ),
    )


def _verdict(found: Evidence, rules: list[RuleResult], nearest: NearestRow | None) -> VerdictStory:
    threshold = found.history.configured.policy.threshold
    outcome, at, rejection = outcome_of(found, found.subject.id)
    recomputed = next((rule.name for rule in rules if not rule.passed), None)
    if recomputed is None:
        recomputed = "similar" if nearest is not None and nearest.similarity > threshold else "kept"
    agrees = recomputed == ("kept" if rejection is None else rejection.reason)
    if rejection is not None and rejection.reason == "similar":
        recorded = rejection.similarity, rejection.nearest_id, rejection.threshold
        agrees = agrees and nearest is not None and recorded == (nearest.similarity, nearest.id, threshold)
    of_choice = rejection is not None and rejection.reason in CHOICE_REASONS
    decided = outcome != "undecided" and not of_choice  # else it depends on the other candidates
    return VerdictStory(
        outcome=outcome,
        at=at,
        reason=None if rejection is None else rejection.reason,
        similarity=None if rejection is None else rejection.similarity,
        nearest_id=None if rejection is None else rejection.nearest_id,
        threshold=threshold if rejection is None or rejection.threshold is None else rejection.threshold,
        recomputed=recomputed if decided else None,
        agrees=agrees if decided else None,
    )


def _answers(event: InstructionsGenerated, subject: Subject) -> tuple[AnswerStory, ...]:
    """The answers that the instruction was parsed from: one, or the list and the answer that gave it its output."""
    assert subject.generation_id is not None
    assert subject.place is not None
    if event.segment is not None:
        return _candidate_answers(event, subject.place)
    raws = {answer.request_id: answer.raw for answer in event.answers}
    first = ids.request_id(subject.generation_id, 0)
    found = []
    if first in raws:
        own = steps_of(event.style, subject.place)
        span = instruction_span(raws[first], event.instructions, subject.place)
        found.append(AnswerStory(request_id=first, holds="instruction" if own else "both", raw=raws[first], span=span))
        last = ids.request_id(subject.generation_id, own[-1] if own else 0)
        if own and last in raws:
            found.append(AnswerStory(request_id=last, holds="output", raw=raws[last], span=None))
    return tuple(found)


def _candidate_answers(event: InstructionsGenerated, place: int) -> tuple[AnswerStory, ...]:
    """The answer that a candidate was parsed from: each has one of its own, and its output is the segment."""
    spans = [instruction_span(answer.raw, (event.instructions[place],), 0) for answer in event.answers]
    own = place if place < len(spans) and spans[place] is not None else None
    own = own if own is not None else next((step for step, span in enumerate(spans) if span is not None), None)
    if own is None:
        return ()
    answer = event.answers[own]
    return (AnswerStory(request_id=answer.request_id, holds="instruction", raw=answer.raw, span=spans[own]),)


def _classifier(history: RunHistory, offset: int) -> ClassifierInForce | None:
    """The classifier in force for generations at `offset`."""
    start = max((start for start in history.classifiers if start <= offset), default=None)
    if start is None:
        return None
    at, event = history.classifiers[start]
    return ClassifierInForce(at=at, **fields_of(ClassifierInForce, event))


# -- a generation or a request -------------------------------------------------------------------------------------


def _request_outcome(found: Evidence) -> RequestOutcome:
    assert found.subject.generation_id is not None
    return RequestOutcome(
        generation_id=found.subject.generation_id,
        step=found.subject.step,
        generation=generation_of(found),
        requests=requests_from(found.calls),
        segment=segment_of(found),
        preview=any(isinstance(event, CallStarted) and is_preview(event.lane) for _, event in found.calls),
        instructions=tuple(_summary(found, id, place) for place, id in enumerate(found.focus)),
    )


def _summary(found: Evidence, id: str, place: int) -> InstructionSummary:
    assert found.generation is not None
    outcome, _, rejection = outcome_of(found, id)
    return InstructionSummary(
        id=id,
        place=place,
        instruction=found.generation[1].instructions[place].instruction,
        outcome=outcome,
        reason=None if rejection is None else rejection.reason,
        similarity=None if rejection is None else rejection.similarity,
        nearest_id=None if rejection is None else rejection.nearest_id,
        cluster=found.kept[id][1].cluster if id in found.kept else None,
        steps=tuple((step.epoch, step.step) for step in training_of(found, id)),
        became_seed=became_seed(found, id),
        unused=found.answered[id][1].reason if id in found.answered else None,
    )
