"""Sends spans to a collector: OTLP over HTTP, by OpenTelemetry's SDK, whose own variables configure it.

Our spans have ended when they come here, and have ids of their own, so the SDK gets both: the ids by its interface for
id generators, the times as arguments. A sampler that decides by the trace's id (`OTEL_TRACES_SAMPLER=traceidratio`)
decides the same in every process, so a trace is exported as a whole or not at all.
"""

import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

from infra.distribution import NAME, VERSION
from infra.tracing.names import ERROR_TYPE, RUN
from infra.tracing.spans import EndedSpan
from schemas.trace_context import TraceContext

_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
_CLOSE_S = 5.0


class OtlpExporter:
    """The exporter of one process. Its service is `sedi-<component>`, its instance the run."""

    def __init__(self, run: str, component: str) -> None:
        self._run = run
        self._ids = _GivenIds()
        self._lock = threading.Lock()
        about = {"service.namespace": "sedi", "service.name": f"sedi-{component}", "service.version": VERSION, RUN: run}
        self._sender = OTLPSpanExporter()
        self._provider = TracerProvider(resource=Resource.create(about), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._sender))
        self._tracer = self._provider.get_tracer(NAME, VERSION)

    def export(self, span: EndedSpan) -> None:
        within = trace.set_span_in_context(trace.INVALID_SPAN)
        if span.parent is not None:
            within = trace.set_span_in_context(trace.NonRecordingSpan(_sdk_context(span.parent)))
        attributes = {name: value for name, value in span.attributes.items() if value is not None}
        if span.error is not None:
            attributes[ERROR_TYPE] = span.error
        with self._lock:
            self._ids.next = span.place.context(self._run)
            begun = self._tracer.start_span(
                span.name,
                context=within,
                kind=_KINDS[span.kind],
                attributes=attributes,
                links=[trace.Link(_sdk_context(link)) for link in span.links],
                start_time=span.start_ns,
            )
        if span.error is not None:
            begun.set_status(trace.StatusCode.ERROR)
        begun.end(span.end_ns)

    def close(self) -> None:
        """Send what is left, for at most 5 s. The SDK itself waits for a collector that hangs, whatever time it is
        given, so it is waited for in a thread."""
        sending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        sending.start()
        sending.join(_CLOSE_S)
        if sending.is_alive():
            self._sender.shutdown()  # type: ignore[no-untyped-call]  # it tries no more


class _GivenIds(IdGenerator):
    """Gives the ids of `next`."""

    def __init__(self) -> None:
        self.next = TraceContext("0" * 32, "0" * 16)

    def generate_span_id(self) -> int:
        return int(self.next.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.next.trace_id, 16)


def _sdk_context(context: TraceContext) -> trace.SpanContext:
    return trace.SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
