"""The ledger: started = answered + failed + lost + open, and each answer is paid for once."""

from itertools import permutations
from typing import Any

from schemas.events import CallAnswered, CallFailed, RunStopped, Usage
from streams.core.ledger import Ledger
from tests.unit.consumers.story import Story


def folded(story: Story) -> Ledger:
    ledger = Ledger()
    for entry in story.written:
        ledger.apply(entry.event, entry.id)
    return ledger


def counts(ledger: Ledger) -> tuple[int, ...]:
    return (ledger.started, ledger.answered, ledger.failed, ledger.lost, ledger.open)


def test_a_call_without_an_outcome_is_open_until_its_request_goes_on_without_it() -> None:
    story = Story()
    story.call(0)
    assert counts(folded(story)) == (1, 0, 0, 0, 1)

    story.call(0, attempt=2)
    assert counts(folded(story)) == (2, 0, 0, 1, 1)

    story.answer(0, attempt=2)
    assert counts(folded(story)) == (2, 1, 0, 1, 0)


def test_a_failed_attempt_is_neither_lost_nor_open() -> None:
    story = Story()
    story.call(0)
    story.failure(0)
    story.call(0, attempt=2)
    story.answer(0, attempt=2)

    assert counts(folded(story)) == (2, 1, 1, 0, 0)


def test_an_answer_that_comes_late_is_no_longer_lost_but_repeated() -> None:
    story = Story()
    story.call(0)
    story.call(0, attempt=2)
    story.answer(0, attempt=2)
    story.answer(0, attempt=1)

    ledger = folded(story)

    assert counts(ledger) == (2, 2, 0, 0, 0)
    assert ledger.repeated == 1


def test_an_event_that_stands_twice_counts_once() -> None:
    story = Story()
    story.call(0)
    story.answer(0)
    for entry in list(story.written):
        story.again(entry)

    ledger = folded(story)

    assert counts(ledger) == (1, 1, 0, 0, 0)
    assert (ledger.duplicates, ledger.known_cost_usd, ledger.prompt_tokens) == (2, 0.5, 100)


def test_the_counts_do_not_depend_on_the_order_of_the_events() -> None:
    story = Story()
    story.call(0)
    story.call(0, attempt=2)
    story.answer(0, attempt=2)
    story.call(1)
    story.failure(1)

    for order in permutations(story.written):
        ledger = Ledger()
        for entry in order:
            ledger.apply(entry.event, entry.id)
        assert counts(ledger) == (3, 1, 1, 1, 0)


def test_a_cost_is_unknown_as_soon_as_one_answer_does_not_say_it() -> None:
    story = Story()
    story.answer(0, cost=0.5)
    story.answer(1, cost=None)

    ledger = folded(story)

    assert ledger.cost_usd is None
    assert (ledger.known_cost_usd, ledger.without_cost) == (0.5, 1)
    assert Ledger().cost_usd == 0.0


def failed(story: Story, attempt: int, **told: Any) -> CallFailed:
    request_id = story.call(0, attempt=attempt).key
    return CallFailed(request_id=request_id, attempt=attempt, error="no", status=200, retry=True, **told)


def test_what_a_failed_attempt_took_counts_as_an_answers_does() -> None:
    story = Story()
    events = [
        failed(story, 1, usage=Usage(prompt_tokens=7, completion_tokens=3), cost_usd=0.25),
        failed(story, 2, usage=Usage(prompt_tokens=1, completion_tokens=1)),
        failed(story, 3),
    ]
    ledger = folded(story)
    for event in events:
        ledger.apply(event, f"failed/{event.attempt}")
    assert (ledger.failed, ledger.failed_paid, ledger.perhaps_paid) == (3, 2, 0)
    assert (ledger.tokens, ledger.known_cost_usd, ledger.without_cost, ledger.cost_usd) == (12, 0.25, 1, None)


def test_an_attempt_that_was_perhaps_paid_for_makes_the_cost_unknown_and_never_zero() -> None:
    story = Story()
    ledger, event = Ledger(), failed(story, 1, perhaps_paid=True)
    assert ledger.apply(event, "failed/1") and not ledger.apply(event, "failed/1")
    assert (ledger.perhaps_paid, ledger.failed_paid, ledger.cost_usd, ledger.known_cost_usd) == (1, 0, None, 0.0)
    assert (ledger.without_cost, ledger.without_usage) == (0, 0)


def test_tokens_are_summed_and_answers_without_usage_counted() -> None:
    story = Story()
    story.answer(0, usage=Usage(prompt_tokens=7, completion_tokens=3))
    event = story.answer(1)
    silent = CallAnswered(
        request_id=event.request_id,
        attempt=2,
        model="m",
        raw="",
        finish_reason=None,
        usage=None,
        cost_usd=None,
        latency_s=0.1,
    )
    ledger = folded(story)
    ledger.apply(silent, "another")

    assert (ledger.prompt_tokens, ledger.completion_tokens, ledger.without_usage) == (107, 13, 1)


def test_other_events_are_passed_over() -> None:
    assert not Ledger().apply(RunStopped(reason="done"), "id")
