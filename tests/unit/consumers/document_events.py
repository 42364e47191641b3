"""Events of made-up runs of documents, as their tellers share them."""

import hashlib

from schemas import ids
from schemas.documents import DocumentRead
from schemas.events import CallAnswered


def document_event(source: str, text: str, **changes: object) -> DocumentRead:
    """A document that was read; one that is dropped has no text."""
    fields: dict[str, object] = {
        "source": source,
        "place": 0,
        "start": 0,
        "format": "text",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "characters": len(text),
        "language": "en",
        "probability": 0.9,
        "text": "" if changes.get("dropped") else text,
    }
    return DocumentRead(**(fields | changes))  # type: ignore[arg-type]


def id_of(event: DocumentRead) -> str:
    return ids.document_id(event.source, event.place, event.start, event.sha256)


def answer_event(generation_id: str, step: int, raw: str) -> CallAnswered:
    """The first attempt at a request of a generation was answered."""
    return CallAnswered(
        request_id=ids.request_id(generation_id, step),
        attempt=1,
        model="m-1",
        raw=raw,
        finish_reason="stop",
        usage=None,
        cost_usd=0.0,
        latency_s=1.0,
    )
