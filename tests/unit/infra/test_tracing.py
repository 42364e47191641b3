"""Traces: off costs no import, names are those of the conventions, and a collector gets what was handed over."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.tracing import names
from infra.tracing.spans import EndedSpan, export_span, exported_spans, is_exporting
from schemas.trace_context import SpanPlace, generation_place
from tests.harness.collector import collector

OFF = """
import sys
from pathlib import Path
from infra.observed import observed
from infra.settings import load
with observed(load(state_dir=Path(sys.argv[1])), "demo", "worker"):
    found = [name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "prometheus_client")]
assert not found, found
"""


def test_without_an_endpoint_and_a_port_neither_library_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "SEDI_METRICS_PORT"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run([sys.executable, "-c", OFF, str(tmp_path)], check=True, timeout=60)


def test_names_of_calls_are_those_of_the_semantic_conventions() -> None:
    from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, messaging_attributes

    known = {
        value
        for module in (gen_ai_attributes, messaging_attributes, error_attributes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    ours = [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and "." in value]
    assert {name for name in (*ours, *names.REQUEST.values()) if not name.startswith("sedi.")} <= known
    operations = {each.value for each in gen_ai_attributes.GenAiOperationNameValues}
    assert {names.CHAT, names.TEXT_COMPLETION} <= operations
    assert len(set(ours)) == len(ours)


def test_a_collector_gets_spans_with_our_ids_times_and_links(monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = generation_place("8c0c6a1e-0000-5000-8000-000000000000"), SpanPlace("x", "y")
    child = SpanPlace("window", root.root)
    with collector() as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        with exported_spans("demo", "trainer"):
            assert is_exporting()
            export_span(EndedSpan(names.GENERATION, "producer", root, 1_000, 5_000))
            export_span(
                EndedSpan(
                    names.WINDOW,
                    "consumer",
                    child,
                    2_000,
                    3_000,
                    parent=root.context("demo"),
                    links=(other.context("demo"),),
                    error="oops",
                    attributes={names.EPOCH: 1, names.LOSS: None, names.SEEDS: ("a", "b")},
                )
            )
    assert not is_exporting()
    first, second = sorted(found.spans, key=lambda span: span.start_ns)
    assert (first.service, first.name, first.parent) == ("sedi-trainer", names.GENERATION, "")
    assert (first.trace_id, first.span_id) == tuple(vars(root.context("demo")).values())
    assert (second.trace_id, second.parent) == (first.trace_id, first.span_id)
    assert second.span_id == child.context("demo").span_id and (second.start_ns, second.end_ns) == (2_000, 3_000)
    assert second.attributes == {names.EPOCH: 1, names.SEEDS: ["a", "b"], names.ERROR_TYPE: "oops"}
    assert second.links == (tuple(vars(other.context("demo")).values()),)


def test_a_collector_that_is_gone_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with exported_spans("demo", "worker"):
        export_span(EndedSpan(names.VERDICT, "consumer", SpanPlace("x", "y"), 1, 2))


def test_a_collector_that_never_answers_is_not_waited_for_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.tracing.export._CLOSE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken by the system, and nothing is sent
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        with exported_spans("demo", "worker"):
            for nth in range(1_200):  # three batches
                export_span(EndedSpan(names.VERDICT, "consumer", SpanPlace("x", str(nth)), 1, 2))
            ending = time.monotonic()
    assert time.monotonic() - ending < 2
