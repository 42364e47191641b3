"""Trace context: which trace and which span an event was written in (W3C Trace Context, `traceparent`).

Trace and span ids are digests of the run's name and of deterministic ids (`schemas.ids`), so a record that is written
again has the same traceparent, and who knows a generation's id knows its trace. A span is named by the id of the
event that it ends with.
"""

import hashlib
import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SAMPLED = "01"


@dataclass(frozen=True)
class TraceContext:
    """A span of a trace: 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> str:
        """The header. Sampled: each process decides by itself, by the trace's id, what it exports."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED}"


def parse_traceparent(text: str | None) -> TraceContext | None:
    """The context that a header names; None for one that is missing, malformed or all zeros."""
    if text is None:
        return None
    found = _TRACEPARENT.fullmatch(text)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return TraceContext(found[1], found[2])


@dataclass(frozen=True)
class SpanPlace:
    """Where a span is, before the run is known.

    span     an id that names it
    root     an id that names its trace: of a generation, or of whatever else the trace begins with
    within   the context of the event that caused it; its trace is continued. None, or one that is malformed: `root`
             names the trace
    """

    span: str
    root: str
    within: str | None = None

    def context(self, run: str) -> TraceContext:
        continued = parse_traceparent(self.within)
        trace_id = _digest(run, "trace", self.root, 32) if continued is None else continued.trace_id
        return TraceContext(trace_id, _digest(run, "span", self.span, 16))


def generation_place(generation_id: str) -> SpanPlace:
    """Of a generation, with which its trace begins."""
    return SpanPlace(generation_id, generation_id)


def _digest(run: str, kind: str, id: str, length: int) -> str:
    return hashlib.sha256(f"{run}/{kind}/{id}".encode()).hexdigest()[:length]
