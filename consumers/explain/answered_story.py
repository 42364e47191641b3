"""The story of the answer to a kept instruction: its requests, what was read from it, and whether its row is used."""

from collections import Counter

from consumers.explain.evidence import Evidence
from consumers.explain.generation_story import requests_from
from consumers.explain.schema.answered import RowAnswerStory
from schemas import ids
from schemas.events import InstructionAnswered
from streams.core.answering import AnsweredRow, by_step, read_again
from streams.core.parse.self_instruct import parse_is_classification


def answered_of(found: Evidence, id: str) -> RowAnswerStory | None:
    """The answer to a kept instruction; None where the run answers all instructions, or this one is not kept."""
    policy = found.history.configured.policy
    if policy.answer != "kept" or id not in found.kept:
        return None
    requests = requests_from(found.answer_calls)
    if id not in found.answered:
        return RowAnswerStory(id=ids.answered_id(id), at=None, requests=requests)
    at, event = found.answered[id]
    released_at, released_from = found.history.releases.get(id, (None, None))
    written = AnsweredRow(event.row, event.unparsed, event.reason)
    return RowAnswerStory(
        id=ids.answered_id(id),
        at=at,
        style=event.style,
        backend=event.backend,
        model=event.model,
        parameters=event.parameters,
        input=event.row.input,
        output=event.row.output,
        reason=event.reason,
        agrees=read_again(policy, event, found.kept[id][1]) == written,
        classification=_classification(event),
        raws=tuple(answer.raw for answer in event.answers),
        unparsed=dict(Counter(part.reason for part in event.unparsed)),
        requests=requests,
        cost_usd=event.cost_usd,
        released_at=released_at,
        released_from=released_from,
    )


def _classification(event: InstructionAnswered) -> bool | None:
    first = by_step(event.style, event.row.id, event.answers).get(0)
    if event.style != "self-instruct" or first is None:
        return None
    return parse_is_classification(first.raw) is True
