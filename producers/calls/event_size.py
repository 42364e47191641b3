"""Whether an event fits into a record. What fits one by one can be too large together."""

import msgspec

from infra.cluster.connection import MAX_RECORD_BYTES
from schemas.events import Event

MAX_EVENT_BYTES = MAX_RECORD_BYTES - 64 * 1024  # the rest of a record is for its key and headers


def larger_than_a_record(event: Event) -> str:
    """How much larger the event is than a record may be, for a sentence; empty if it fits."""
    size = len(msgspec.json.encode(event))
    return "" if size <= MAX_EVENT_BYTES else f"{size:,} bytes, and a record at most {MAX_RECORD_BYTES:,}"
