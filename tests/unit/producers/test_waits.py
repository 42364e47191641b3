"""Waits that an endpoint asks for are read in every form in use, and limited."""

from email.utils import formatdate

import pytest

from producers.backends.waits import MOST_S, asked_wait, seconds_of, wait_in

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m", MOST_S),
        ("12.5s", 12.5),
        ("250µs", 0.00025),
        ("-3", 0.0),
        ("-1s", 0.0),
        ("1e99", MOST_S),
        ("999999", MOST_S),
        (str(int(NOW + 40)), 40.0),
        (str(int((NOW + 40) * 1000)), 40.0),
        (str(int(NOW - 40)), 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("2026-09-21T14:13:30Z", 10.0),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("", None),
        ("soon", None),
        ("5 s later", None),
        ("12x", None),
        ("s", None),
        ("99999999999999999999999 Jan 1", None),
    ],
)
def test_a_wait_is_read_in_every_form(text: str, seconds: float | None) -> None:
    found = seconds_of(text, NOW)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "nonsense", "retry-after": "1"}, 1.0),
        ({"retry-after": "2", "x-ratelimit-reset-tokens": "6m0s"}, 2.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "5000",
            },
            1.0,
        ),
        ({"X-RateLimit-Reset": str(int((NOW + 40) * 1000))}, 40.0),
        ({"ratelimit-reset": "30"}, 30.0),
        ({"anthropic-ratelimit-requests-reset": "2026-09-21T14:13:30Z"}, 10.0),
        ({"x-ratelimit-reset-requests": "nan"}, None),
    ],
)
def test_of_several_headers_the_one_that_says_when_to_ask_again_counts(
    headers: dict[str, str], seconds: float | None
) -> None:
    found = asked_wait(headers, NOW)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_without_a_rate_limit_the_times_of_limits_say_nothing() -> None:
    assert asked_wait({"x-ratelimit-reset-tokens": "6m0s"}, NOW, limited=False) is None
    assert asked_wait({"retry-after": "3"}, NOW, limited=False) == 3.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("No deployments available, Try again in 60 seconds. Passed model=x.", 60.0),
        ("Please retry in 1m26.5s.", 86.5),
        ("Please retry after 26 seconds.", 26.0),
        ("Please try again in 250ms.", 0.25),
        ("Please retry in 10h17m5.7s.", MOST_S),
        ("Please try again later.", None),
        ("Retry 3 times.", None),
    ],
)
def test_a_wait_that_only_the_message_tells_is_read(text: str, seconds: float | None) -> None:
    assert wait_in(text) == (seconds if seconds is None else pytest.approx(seconds))
