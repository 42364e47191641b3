"""Rate control: calls in flight, calls a minute, and the reaction to a failing endpoint."""

import pytest

from producers.backends.base import Answer, EndpointRefused, FailureKind, Transient
from producers.calls.circuit_breaker import CircuitBreaker
from producers.calls.concurrency import Concurrency
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.token_bucket import TokenBucket
from schemas.errors import ConfigurationError
from schemas.events import Usage

ANSWER = Answer("Hi.", "stop", Usage(prompt_tokens=7, completion_tokens=3), "tiny-1", 0.1)
FAULT = Transient("fault", status=500)


def outcomes(concurrency: Concurrency, *busy: bool) -> int:
    for one in busy:
        concurrency.ended(busy=one)
    return concurrency.limit


def test_rounds_without_faults_let_more_in_step_by_step_up_to_the_most() -> None:
    concurrency = Concurrency(most=8, start=2, step=3)
    assert outcomes(concurrency, False) == 2, "the round is not over"
    assert outcomes(concurrency, False) == 5
    assert outcomes(concurrency, *[False] * 5) == 8
    assert outcomes(concurrency, *[False] * 8) == 8


def test_a_round_that_was_all_refused_halves_and_never_goes_below_the_least() -> None:
    concurrency = Concurrency(most=64, least=3)
    seen = [outcomes(concurrency, *[True] * concurrency.limit) for _ in range(6)]
    assert seen == [32, 16, 8, 4, 3, 3]


def test_faults_at_random_do_not_starve_the_lane() -> None:
    concurrency = Concurrency(most=64)
    for _ in range(200):
        outcomes(concurrency, *[place % 8 == 0 for place in range(concurrency.limit)])  # an eighth
    assert concurrency.limit > 48


@pytest.mark.parametrize("wrong", [{"start": 9}, {"least": 0}, {"least": 5, "start": 4}, {"step": 0.0}])
def test_bounds_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="least <= start <= most"):
        Concurrency(most=8, **wrong)  # type: ignore[arg-type]


def test_in_no_minute_is_more_taken_than_the_rate_and_a_seconds_worth() -> None:
    bucket, now, taken = TokenBucket(120.0), 0.0, []
    for _ in range(500):
        now += bucket.wait_s(1, now)
        bucket.take(1, now)
        taken.append(now)
    assert max(sum(1 for at in taken if start <= at < start + 60.0) for start in taken) <= 122
    assert taken[-1] <= 500 / 2.0, "and no less than the rate"


def test_what_takes_more_than_a_bucket_holds_is_paid_for_by_the_next() -> None:
    bucket = TokenBucket(6_000.0)  # a hundred a second
    assert bucket.wait_s(1_000, 0.0) == 0.0
    bucket.take(1_000, 0.0)
    assert bucket.wait_s(100, 0.0) == pytest.approx(10.0)
    bucket.give_back(500)
    assert bucket.wait_s(100, 0.0) == pytest.approx(5.0)
    with pytest.raises(ConfigurationError):
        TokenBucket(0.0)


def test_the_breaker_opens_once_probes_ever_more_rarely_and_says_so_once() -> None:
    messages: list[str] = []
    breaker = CircuitBreaker(failures=3, first_s=5.0, longest_s=15.0, notify=messages.append)
    for _ in range(3):
        assert breaker.wait_s(0.0) == 0.0
        breaker.failed(0.0, probe=breaker.begin(), error="down")
    breaker.failed(0.0, probe=False, error="down")  # it was in flight when the breaker opened
    now = 0.0
    for pause in (5.0, 10.0, 15.0, 15.0):
        assert breaker.wait_s(now) == pytest.approx(pause)
        now += pause
        assert breaker.begin(), "half open: one probe goes through"
        assert breaker.wait_s(now) is None, "and nothing beside it"
        breaker.failed(now, probe=True, error="down")
    assert (breaker.failed_probes, len(messages)) == (4, 1)
    breaker.begin()
    breaker.answered()
    assert (breaker.wait_s(now), breaker.open, len(messages)) == (0.0, False, 2)
    assert "3 times in a row" in messages[0]


def test_an_answer_in_between_keeps_the_breaker_closed() -> None:
    breaker = CircuitBreaker(failures=2)
    for _ in range(5):
        breaker.failed(0.0, probe=False, error="fault")
        breaker.answered()
    assert not breaker.open


def test_retry_after_holds_the_whole_lane() -> None:
    rate = RateControl(RateOptions(), 4)
    ticket = rate.begin(10, 0.0)
    rate.end(ticket, Transient("busy", status=429, retry_after_s=7.0), 1.0)
    assert rate.wait_s(10, 1.0) == pytest.approx(7.0)
    assert rate.wait_s(10, 8.0) == 0.0


def test_as_many_are_under_way_as_the_limit_says_and_a_turn_given_back_is_free_again() -> None:
    rate = RateControl(RateOptions(rpm=60.0), 2)
    first = rate.begin(10, 0.0)
    assert rate.wait_s(10, 0.0) == pytest.approx(1.0), "one a second"
    rate.abandon(first)
    assert rate.wait_s(10, 0.0) == 0.0
    tickets = [rate.begin(10, 0.0), rate.begin(10, 10.0)]
    assert rate.wait_s(10, 20.0) is None
    rate.end(tickets[0], ANSWER, 20.0)
    assert rate.wait_s(10, 20.0) == 0.0


def test_tokens_that_an_answer_did_not_take_are_given_back() -> None:
    rate = RateControl(RateOptions(tpm=6_000.0), 4)
    ticket = rate.begin(1_000, 0.0)
    assert rate.wait_s(100, 0.0) == pytest.approx(10.0)
    rate.end(ticket, ANSWER, 0.0)
    assert rate.wait_s(100, 0.0) == pytest.approx(0.1), "ten were taken"


def test_only_what_tells_of_a_full_endpoint_shrinks_and_only_what_tells_of_a_broken_one_opens_the_breaker() -> None:
    def after(failure: Transient | EndpointRefused) -> tuple[int, bool]:
        rate = RateControl(RateOptions(breaker_failures=4), 4)
        for _ in range(4):
            rate.end(rate.begin(0, 0.0), failure, 0.0)
        return rate.concurrency.limit, rate.breaker.open

    assert after(FAULT) == (2, True)
    assert after(Transient("busy", status=429)) == (2, False)
    assert after(Transient("slow", kind=FailureKind.TIME_OUT)) == (2, True)
    assert after(Transient("gone")) == (4, True)
    assert after(Transient("garbled", kind=FailureKind.GARBLED)) == (4, True)
    assert after(EndpointRefused("key", status=401)) == (4, False)


def test_a_wait_that_the_endpoint_asks_for_is_said_once() -> None:
    messages: list[str] = []
    rate = RateControl(RateOptions(), 4, messages.append)
    tickets = [rate.begin(1, 0.0) for _ in range(3)]
    for ticket in tickets:
        rate.end(ticket, Transient("slow down", status=429, retry_after_s=40.0), 1.0)
    assert messages == ["The endpoint asks to wait 40 s; no call begins until then (slow down)"]
    assert rate.wait_s(1, 11.0) == pytest.approx(30.0)
    rate.end(rate.begin(1, 60.0), Transient("slow down", status=429, retry_after_s=1.0), 60.0)
    assert len(messages) == 1, "a short one is not worth a line"
    rate.end(rate.begin(1, 90.0), Transient("slow down", status=429, retry_after_s=20.0), 90.0)
    assert len(messages) == 2
