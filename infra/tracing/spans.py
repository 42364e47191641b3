"""A span as it ended, and where it goes: to a collector if one is named, else nowhere.

The collector is named as OpenTelemetry's programs name it: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or
`OTEL_EXPORTER_OTLP_ENDPOINT`. Then `exported_spans` imports OpenTelemetry and a thread sends spans in batches. Without
it nothing is imported, and a caller that asks `is_exporting` first does no work.

A collector that is slow, or gone, holds up nothing: spans that do not fit the queue are dropped.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from infra.distribution import require
from schemas.trace_context import SpanPlace, TraceContext

Kind = Literal["internal", "client", "producer", "consumer"]
Attribute = str | int | float | bool | Sequence[str]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@dataclass(frozen=True)
class EndedSpan:
    """A span that has ended.

    place        which it is
    start_ns, end_ns   nanoseconds since the epoch
    parent       the span that it is within; None for the first of its trace
    links        spans that it also follows from
    error        the kind of its failure; None: it did not fail
    attributes   by their names in `infra.tracing.names`; those that are None are left out
    """

    name: str
    kind: Kind
    place: SpanPlace
    start_ns: int
    end_ns: int
    parent: TraceContext | None = None
    links: tuple[TraceContext, ...] = ()
    error: str | None = None
    attributes: Mapping[str, Attribute | None] = field(default_factory=dict)


class SpanExporter(Protocol):
    """Takes the spans of one process of a run."""

    def export(self, span: EndedSpan) -> None: ...

    def close(self) -> None: ...


_exporter: SpanExporter | None = None


def is_exporting() -> bool:
    """Whether spans go anywhere."""
    return _exporter is not None


def export_span(span: EndedSpan) -> None:
    """Hand over a span; does nothing where none are exported."""
    if _exporter is not None:
        _exporter.export(span)


def captures_content() -> bool:
    """Whether prompts and answers go into spans; off unless the conventions' own variable asks for it."""
    return os.environ.get(_CAPTURE_CONTENT, "").strip().lower() in {"true", "1", "span_only", "span_and_event"}


@contextmanager
def exported_spans(run: str, component: str) -> Iterator[None]:
    """Export the spans of this process within the block, if a collector is named.

    Raises ConfigurationError when one is and the part that is needed is not installed.
    """
    global _exporter  # noqa: PLW0603 - one process has one collector
    if _exporter is not None or not any(os.environ.get(name) for name in _ENDPOINTS):
        yield
        return
    require("trace", "Sending traces (OTEL_EXPORTER_OTLP_ENDPOINT)")
    from infra.tracing.export import OtlpExporter

    _exporter = OtlpExporter(run, component)
    try:
        yield
    finally:
        exporter, _exporter = _exporter, None
        exporter.close()
