"""Trace contexts: the same for the same event, and a trace is continued."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.trace_context import SpanPlace, generation_place, parse_traceparent

GENERATION = ids.generation_id("main", 7)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_place_has_the_same_context_whenever_it_is_asked_and_its_header_reads_back(run: str, span: str) -> None:
    context = SpanPlace(span, GENERATION).context(run)
    assert context == SpanPlace(span, GENERATION).context(run) == parse_traceparent(context.traceparent)
    assert len(context.traceparent) == 55


def test_what_follows_is_in_the_same_trace_and_another_run_or_generation_is_in_another() -> None:
    first = generation_place(GENERATION).context("demo")
    verdict = SpanPlace(ids.verdict_id(3), GENERATION).context("demo")
    command = SpanPlace("command", "anything", within=verdict.traceparent).context("demo")
    assert first.trace_id == verdict.trace_id == command.trace_id
    assert len({first.span_id, verdict.span_id, command.span_id}) == 3
    another = generation_place(ids.generation_id("main", 8))
    other = {generation_place(GENERATION).context("other"), another.context("demo")}
    assert first.trace_id not in {context.trace_id for context in other} and len(other) == 2


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00-ab-cd-01",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'1' * 16}-01",
        f"00-{'G' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'1' * 16}-01\n",
    ],
)
def test_a_header_that_names_no_span_begins_a_trace_by_the_root(text: str | None) -> None:
    assert parse_traceparent(text) is None
    assert SpanPlace("span", GENERATION, text).context("demo") == SpanPlace("span", GENERATION).context("demo")
