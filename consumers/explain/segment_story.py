"""The story of a segment: from which place of which document it is, and the candidates for it with their scores."""

from consumers.copied_fields import fields_of
from consumers.explain.document_story import summary_of
from consumers.explain.evidence import Evidence, outcome_of
from consumers.explain.schema.document import CandidateStory, SegmentStory
from schemas import ids
from schemas.events import InstructionsGenerated
from streams.core.documents.choice import COPIES_SEGMENT, LOW_GAIN

_OF_WINNERS = (LOW_GAIN, "similar")


def segment_of(found: Evidence) -> SegmentStory | None:
    """The segment that the gathered generation is about; None when it is about none."""
    event = None if found.generation is None else found.generation[1]
    if event is None or event.segment is None:
        return None
    segment, scores = event.segment, event.scores
    winner = _winner(found, event)
    return SegmentStory(
        **fields_of(SegmentStory, segment),
        document=summary_of(segment.document_id, found.document),
        scorer=None if scores is None else scores.scorer,
        tokens=0 if scores is None else scores.tokens,
        winner=None if winner is None else _id(event, winner),
        candidates=tuple(_candidate(found, event, place, winner) for place in range(len(event.instructions))),
    )


def _candidate(found: Evidence, event: InstructionsGenerated, place: int, winner: int | None) -> CandidateStory:
    id, task, scores = _id(event, place), event.instructions[place], event.scores
    outcome, _, rejection = outcome_of(found, id)
    gain = None if scores is None else scores.gain(place)
    best = None if scores is None or winner is None or winner == place else scores.gain(winner)
    return CandidateStory(
        id=id,
        place=place,
        instruction=task.instruction,
        input=task.input,
        perplexity=None if scores is None else scores.perplexity(place),
        gain=gain,
        copied=rejection is not None and rejection.reason == COPIES_SEGMENT,
        behind=None if best is None or gain is None else best - gain,
        outcome=outcome,
        reason=None if rejection is None else rejection.reason,
        nearest_id=None if rejection is None else rejection.nearest_id,
    )


def _winner(found: Evidence, event: InstructionsGenerated) -> int | None:
    """The place of the candidate that was chosen, whether it was kept or not."""
    for place in range(len(event.instructions)):
        outcome, _, rejection = outcome_of(found, _id(event, place))
        if outcome == "kept" or (rejection is not None and rejection.reason in _OF_WINNERS):
            return place
    return None


def _id(event: InstructionsGenerated, place: int) -> str:
    return ids.instruction_id(ids.generation_id(event.lane, event.number), place)
