"""How long an endpoint asks to wait, from the headers of its answer, in all the forms that are in use.

`Retry-After` holds seconds or an HTTP date, `Retry-After-Ms` milliseconds; both say when to ask again. The
`RateLimit-Reset` family says when a limit is fresh, as seconds, as a duration ("6m0s", "20ms"), as a date, or as the
epoch in seconds or milliseconds; of several limits those count of which nothing is left.

Where no header says it, the message may (`wait_in`): "Try again in 60 seconds", "Please retry in 1m26.4s".

A number too large for a wait is taken as an epoch. What cannot be read is as if it were not there; what is over is 0.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_S = 3600.0
"""The longest wait that is taken from an endpoint, in seconds; after it it is asked again, whatever it said."""

_RESET = re.compile(r"(?:x-)?ratelimit-reset(?:-[\w-]+)?|(?:anthropic|x)-ratelimit-[\w-]+-reset")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|μs|ns|s|m|h|d)")
_UNIT = r"(?:milliseconds?|seconds?|minutes?|hours?|secs?|mins?|hrs?|ms|s|m|h)"
_SPOKEN = re.compile(
    rf"(?:try again|retry)(?: \w+)? (?:in|after):? ((?:\d+(?:\.\d+)?\s?{_UNIT}(?![a-z])[ ,]*)+)", re.IGNORECASE
)
_SPOKEN_PART = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|milli|s|m|h)", re.IGNORECASE)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH = 1e9  # seconds; as a wait that is more than thirty years
_EPOCH_MS = 1e11


def asked_wait(headers: Mapping[str, str], now: float, *, limited: bool = True) -> float | None:
    """Seconds that an endpoint asks to wait, from 0 to MOST_S; None when it does not say.

    headers   of the response; names in any case
    now       seconds since the epoch
    limited   it has refused for a rate limit: only then do the times of the limits say anything
    """
    said = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        wait = seconds_of(said.get(name, ""), now, unit)
        if wait is not None:
            return wait
    if not limited:
        return None
    waits = {name: seconds_of(value, now) for name, value in said.items() if _RESET.fullmatch(name)}
    known = {name: wait for name, wait in waits.items() if wait is not None}
    used_up = [wait for name, wait in known.items() if _left(said, name) == 0]
    untold = [wait for name, wait in known.items() if _left(said, name) is None]
    if used_up or untold:
        return max(used_up or untold)
    return min(known.values(), default=None)


def seconds_of(text: str, now: float, unit: float = 1.0) -> float | None:
    """Seconds from `now` that a header's value means, from 0 to MOST_S; None when it means none.

    unit   seconds that a plain number counts in
    """
    text = text.strip()
    parts = _PART.findall(text.lstrip("+-"))
    if parts and "".join(number + name for number, name in parts) == text.lstrip("+-"):
        wait = sum(float(number) * _SECONDS[name] for number, name in parts)
        return _bounded(-wait if text.startswith("-") else wait)
    try:
        number = float(text)
    except ValueError:
        at = _date(text)
        return None if at is None else _bounded(at - now)
    if not math.isfinite(number):
        return None
    if number >= _EPOCH_MS:
        return _bounded(number / 1000.0 - now)
    if number >= _EPOCH and unit == 1.0:
        return _bounded(number - now)
    return _bounded(number * unit)


def wait_in(text: str) -> float | None:
    """Seconds that a message asks to wait, from 0 to MOST_S; None when it does not say."""
    found = _SPOKEN.search(text)
    if found is None:
        return None
    parts = [(float(number), unit.lower().replace("milli", "ms")) for number, unit in _SPOKEN_PART.findall(found[1])]
    return _bounded(sum(number * _SECONDS[unit] for number, unit in parts))


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MOST_S)


def _date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date or one of ISO 8601; without a zone it is taken as UTC."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _left(said: Mapping[str, str], reset: str) -> float | None:
    """What is left of the limit that a header tells the reset of; None when that is not told."""
    try:
        return float(said[reset.replace("reset", "remaining")])
    except (KeyError, ValueError):
        return None
