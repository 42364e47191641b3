"""Numbers for people in few characters: durations, rates, large counts."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time span in its two largest units at most, such as `42 s`, `12 min`, `3 h 20 min` and `4 d 3 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def short(number: float) -> str:
    """A count in five characters at most, such as `9999`, `12k` and `1.2M`."""
    if number < 10_000:
        return f"{number:.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if number < 999.5 * size:
            return f"{number / size:.1f}{unit}" if number < 9.95 * size else f"{number / size:.0f}{unit}"
    return f"{number:.0e}"


def per_time(per_s: float, *, money: bool = False) -> str:
    """A rate by the second, minute or hour, whichever says it in a number that is not small."""
    least = 0.01 if money else 1
    unit, rate = "s", per_s
    for longer, seconds in (("min", 60), ("h", 3600)):
        if rate < least:
            unit, rate = longer, per_s * seconds
    return f"${rate:.2f}/{unit}" if money else f"{rate:.1f}/{unit}" if rate < 99.5 else f"{short(rate)}/{unit}"
