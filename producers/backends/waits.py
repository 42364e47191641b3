"""How long an endpoint asks to wait, from the headers of its response, in all forms in use.

`Retry-After` has seconds or an HTTP date, `Retry-After-Ms` milliseconds. The `RateLimit-Reset` family has the time at
which a limit resets, as seconds, as a duration ("6m0s", "20ms"), as a date, or as the epoch in seconds or milliseconds;
of several limits the used-up ones count.

Without such a header the message may have it (`wait_in`): "Try again in 60 seconds", "Please retry in 1m26.4s".

A number too large for a wait is read as an epoch. Unreadable values are ignored; a time in the past is 0.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_S = 3600.0
"""The longest wait that is granted to an endpoint, in seconds."""

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
    """Seconds that an endpoint asks to wait, from 0 to MOST_S; None: it does not ask.

    headers   of the response; names in any case
    now       seconds since the epoch
    limited   it refused because of a rate limit; only then do the limits' reset times count
    """
    fields = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        wait = seconds_of(fields.get(name, ""), now, unit)
        if wait is not None:
            return wait
    if not limited:
        return None
    waits = {name: seconds_of(value, now) for name, value in fields.items() if _RESET.fullmatch(name)}
    known = {name: wait for name, wait in waits.items() if wait is not None}
    used_up = [wait for name, wait in known.items() if _remaining(fields, name) == 0]
    unknown = [wait for name, wait in known.items() if _remaining(fields, name) is None]
    if used_up or unknown:
        return max(used_up or unknown)
    return min(known.values(), default=None)


def seconds_of(text: str, now: float, unit: float = 1.0) -> float | None:
    """A header's value as seconds from `now`, from 0 to MOST_S; None if it is not readable.

    unit   of a plain number, in seconds
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
    """Seconds that a message asks to wait, from 0 to MOST_S; None: it does not ask."""
    found = _SPOKEN.search(text)
    if found is None:
        return None
    parts = [(float(number), unit.lower().replace("milli", "ms")) for number, unit in _SPOKEN_PART.findall(found[1])]
    return _bounded(sum(number * _SECONDS[unit] for number, unit in parts))


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MOST_S)


def _date(text: str) -> float | None:
    """An HTTP or ISO 8601 date in seconds since the epoch; without a zone it is UTC."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _remaining(fields: Mapping[str, str], reset: str) -> float | None:
    """What remains of the limit of a reset header; None if not reported."""
    try:
        return float(fields[reset.replace("reset", "remaining")])
    except (KeyError, ValueError):
        return None
