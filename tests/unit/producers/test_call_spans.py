"""The spans of a lane, and that its records name them: the same ones, however often a generator was killed."""

import json
from collections.abc import Iterator

import pytest

from infra.tracing import names, spans
from infra.tracing.spans import EndedSpan
from producers.backends.base import CallPlace
from producers.calls.limits import Limits
from schemas import ids
from schemas.events import CallAnswered, CallFailed, CallStarted, InstructionsGenerated
from schemas.trace_context import TraceContext, generation_place, parse_traceparent
from tests.unit.producers.memory_log import MemoryLog
from tests.unit.producers.test_lane import Faulty, run_lane


class ListExporter:
    def __init__(self) -> None:
        self.spans: list[EndedSpan] = []

    def export(self, span: EndedSpan) -> None:
        self.spans.append(span)

    def close(self) -> None:
        pass


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EndedSpan]]:
    exporter = ListExporter()
    monkeypatch.setattr(spans, "_exporter", exporter)
    yield exporter.spans


def contexts(log: MemoryLog) -> dict[str, TraceContext]:
    """The span that each record names, by the record's id; each must name one."""
    found = {}
    for record in log.records:
        assert record.decoded is not None
        context = parse_traceparent(record.decoded.meta.traceparent)
        assert context is not None, record.event
        assert found.setdefault(record.id, context) == context
    return found


def first_fails(place: CallPlace) -> bool:
    return place.attempt == 1 and place.number % 2 == 0


def test_every_record_of_a_generation_names_a_span_of_its_trace_and_the_spans_are_those(
    exported: list[EndedSpan],
) -> None:
    log = MemoryLog()
    run_lane(log, Faulty(first_fails), Limits(max_generations=4))
    named, traces = contexts(log), {n: generation_place(ids.generation_id("main", n)).context("r") for n in range(4)}
    for event, record in ((record.event, record) for record in log.records):
        if isinstance(event, InstructionsGenerated):
            assert named[record.id] == traces[event.number]
        elif isinstance(event, CallStarted):
            assert named[record.id].trace_id == traces[event.number].trace_id
            outcome = [
                other.id
                for other in log.records
                if isinstance(other.event, CallAnswered | CallFailed)
                and (other.event.request_id, other.event.attempt) == (event.request_id, event.attempt)
            ]
            assert [named[id] for id in outcome] == [named[record.id]], "an attempt is one span"

    by_context = {span.place.context("r"): span for span in exported}
    assert set(traces.values()) <= set(by_context) and len(by_context) == len(exported)
    calls = [span for span in exported if span.kind == "client"]
    assert {span.place.context("r") for span in calls} == {
        named[record.id] for record in log.records if isinstance(record.event, CallStarted)
    }
    assert {span.parent for span in calls} == set(traces.values())
    assert [span.error for span in calls].count("server_error") == 2 and len(calls) == 6
    (answered,) = [span for span in calls if span.attributes[names.NUMBER] == 1]
    assert answered.name == "chat tiny" and answered.attributes[names.RESPONSE_MODEL] == "tiny-1"
    assert answered.attributes[names.INPUT_TOKENS] == 10 and answered.attributes[names.FINISH_REASONS] == ("stop",)
    assert all(names.OUTPUT_MESSAGES not in span.attributes for span in exported)


def test_a_generator_that_goes_on_names_the_same_spans_as_one_that_was_never_ended() -> None:
    whole, log = MemoryLog(), MemoryLog()
    run_lane(whole, Faulty(), Limits(max_generations=6))
    for most in (2, 3, 6):
        run_lane(log, Faulty(), Limits(max_generations=most))
    known = contexts(whole)
    written = {id: context for id, context in contexts(log).items() if id in known}
    assert len(written) == len(known) and written == known


def test_prompts_and_answers_are_in_spans_only_if_that_is_asked_for(
    exported: list[EndedSpan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    run_lane(MemoryLog(), Faulty(), Limits(max_generations=1))
    (call,) = [span for span in exported if span.kind == "client"]
    asked = json.loads(str(call.attributes[names.INPUT_MESSAGES]))
    answer = json.loads(str(call.attributes[names.OUTPUT_MESSAGES]))
    assert asked[-1]["role"] == "user" and asked[-1]["parts"][0]["content"]
    assert answer[0]["finish_reason"] == "stop" and "Instruction: Do 0/4" in answer[0]["parts"][0]["content"]
