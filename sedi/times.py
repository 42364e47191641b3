"""Times on the command line."""

from datetime import datetime

from schemas.errors import ConfigurationError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def timestamp_ms(text: str, now_s: float, flag: str) -> int:
    """A flag's time in ms: a span before `now_s`, or a date and time, local unless it has a zone.

    Raises ConfigurationError for anything else.
    """
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in _UNITS_S:
        return int((now_s - int(number) * _UNITS_S[unit]) * 1000)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        raise ConfigurationError(
            f"{flag} {text!r} is not a time. Give a span such as 90s, 10m, 2h, 1d, or a time such as 2026-11-21T08:00."
        ) from None
