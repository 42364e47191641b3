"""The spans of calls, and of what calls are made for: a generation, a row that is answered or judged.

A span is exported when its event is on the log, so there is none of work that was lost. Prompts and answers go into
spans only where `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` asks for it.
"""

import json
from collections.abc import Mapping
from time import time_ns

from infra.tracing import names
from infra.tracing.spans import Attribute, EndedSpan, captures_content, export_span, is_exporting
from producers.backends.base import Answer, Backend, CallFailure, CallPlace, Request, Transient
from producers.calls.ledger_events import CallCause, attempt_place
from schemas import ids
from schemas.events import Event, InstructionAnswered, InstructionJudged, InstructionsGenerated
from schemas.trace_context import SpanPlace

_NAMES = {InstructionAnswered: names.ANSWER_ROW, InstructionJudged: names.JUDGE_ROW}


def export_attempt(
    run: str,
    backend: Backend,
    cause: CallCause,
    place: CallPlace,
    request: Request,
    outcome: Answer | CallFailure,
    begun_ns: int,
) -> None:
    """Of an attempt at a call, which has ended now. Does nothing where no spans are exported."""
    if not is_exporting():
        return
    operation = names.TEXT_COMPLETION if request.prompt is not None else names.CHAT
    attributes: dict[str, Attribute | None] = {
        names.OPERATION: operation,
        names.PROVIDER: backend.name,
        names.REQUEST_MODEL: backend.model,
        names.LANE: place.lane,
        names.NUMBER: place.number,
        names.STEP: place.step,
        names.ATTEMPT: place.attempt,
    }
    attributes |= {names.REQUEST[name]: value for name, value in request.sampling.given().items()}
    usage = outcome.usage
    if usage is not None:
        attributes |= {
            names.INPUT_TOKENS: usage.prompt_tokens,
            names.OUTPUT_TOKENS: usage.completion_tokens,
            names.CACHED_TOKENS: usage.cached_tokens,
        }
    if isinstance(outcome, Answer):
        attributes[names.RESPONSE_MODEL] = outcome.model
        attributes[names.FINISH_REASONS] = (outcome.finish_reason,) if outcome.finish_reason else None
    if captures_content():
        attributes |= _content(request, outcome)
    export_span(
        EndedSpan(
            f"{operation} {backend.model}",
            "client",
            attempt_place(place.request_id, place.attempt, place.trace_root),
            begun_ns,
            time_ns(),
            parent=cause.place.context(run),
            error=None if isinstance(outcome, Answer) else failure_kind(outcome),
            attributes=attributes,
        )
    )


def _content(request: Request, outcome: Answer | CallFailure) -> dict[str, Attribute | None]:
    asked: list[tuple[str, str]] = [(message.role, message.content) for message in request.messages]
    content: dict[str, Attribute | None] = {names.INPUT_MESSAGES: _messages(asked or [("user", request.text)])}
    if isinstance(outcome, Answer):
        content[names.OUTPUT_MESSAGES] = _messages([("assistant", outcome.raw)], outcome.finish_reason)
    return content


def _messages(turns: list[tuple[str, str]], finish_reason: str | None = None) -> str:
    ended = {} if finish_reason is None else {"finish_reason": finish_reason}
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}], **ended} for role, text in turns],
        ensure_ascii=False,
    )


def export_generation(run: str, event: InstructionsGenerated, cause: CallCause, begun_ns: int) -> None:
    """Of a generation, which is on the log now."""
    attributes: dict[str, Attribute | None] = {
        names.LANE: event.lane,
        names.NUMBER: event.number,
        names.STYLE: event.style,
        names.INSTRUCTIONS: len(event.instructions),
        names.COST_USD: event.cost_usd,
    }
    export_span(
        EndedSpan(names.GENERATION, "producer", cause.place, begun_ns, time_ns(), attributes=_written(run, attributes))
    )


def export_subject(run: str, cause: CallCause, seed_ids: tuple[str, ...], commands_offset: int, begun_ns: int) -> None:
    """Of the choice of what a generation is about, which has ended now."""
    attributes: dict[str, Attribute | None] = {
        names.SEEDS: seed_ids or None,
        names.SEED_COMMANDS_OFFSET: commands_offset if commands_offset >= 0 else None,
    }
    place = cause.place
    export_span(
        EndedSpan(
            names.SUBJECT,
            "internal",
            SpanPlace(ids.child(place.span, "subject"), place.root),
            begun_ns,
            time_ns(),
            parent=place.context(run),
            attributes=attributes,
        )
    )


def export_item(run: str, event: Event, cause: CallCause, begun_ns: int) -> None:
    """Of a piece of ordered work, whose event is on the log now."""
    attributes: dict[str, Attribute | None] = {names.LANE: cause.lane, names.NUMBER: cause.number}
    export_span(
        EndedSpan(
            _NAMES.get(type(event), names.ITEM),
            "consumer",
            cause.place,
            begun_ns,
            time_ns(),
            parent=None if cause.follows is None else cause.follows.context(run),
            attributes=_written(run, attributes),
        )
    )


def failure_kind(failure: CallFailure) -> str:
    """One word for why an attempt failed; there are few."""
    if isinstance(failure, Transient):
        return failure.kind.value
    return "endpoint_refused" if failure.permanent else "refused"


def _written(run: str, attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute | None]:
    return {names.MESSAGING_SYSTEM: "kafka", names.RUN: run, **attributes}
