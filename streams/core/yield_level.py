"""How far a run's yield has fallen, in steps, and what of a request follows from it.

The yield is the share kept of the last `WINDOW` instructions and some that the filter decided, in generations that
showed seeds. After each such window the level may change, by one:

    up     if less than the level's share was kept (`_FALLS_BELOW`)
    down   if the share that it rose at was exceeded by `_MARGIN`

so a yield that hovers about a bound does not move it to and fro. The first window begins at the first generation, and
the level before its end is 0. Per level the temperature of a list rises by `TEMPERATURE_STEP`, so by 0.3 at most, and a
list loses a sixth of its length, so half of it at most: what an LLM writes late in a list repeats what is before.
"""

from array import array
from bisect import bisect_right

WINDOW = 200
TEMPERATURE_STEP = 0.1
HIGHEST_TEMPERATURE = 2.0
"""That endpoints take."""

_FALLS_BELOW = (0.5, 0.35, 0.2)
_MARGIN = 0.1
_SIXTHS = 6


class YieldLevels:
    """The level as of any verdict: a fold of the filter's decisions, with some bytes for each change."""

    def __init__(self) -> None:
        self._offsets = array("q")
        self._levels = array("q", [0])
        self._generated = self._kept = 0

    def decide(self, offset: int, generated: int, kept: int) -> None:
        """The decision on the generation at an offset of `generated`, after those before it."""
        self._generated += generated
        self._kept += kept
        if self._generated < WINDOW:
            return
        level, share = self._levels[-1], self._kept / self._generated
        self._generated = self._kept = 0
        if level < len(_FALLS_BELOW) and share < _FALLS_BELOW[level]:
            level += 1
        elif level and share > _FALLS_BELOW[level - 1] + _MARGIN:
            level -= 1
        if level != self._levels[-1]:
            self._levels.append(level)
            self._offsets.append(offset)

    def at(self, as_of: int) -> int:
        """The level after the verdict on `as_of`."""
        return self._levels[bisect_right(self._offsets, as_of)]


def temperature_at(level: int, own: float) -> float:
    """The temperature of a list at a level; `own`: the style's."""
    return max(own, min(HIGHEST_TEMPERATURE, round(own + level * TEMPERATURE_STEP, 6)))


def list_length_at(level: int, own: int) -> int:
    """How many instructions a list asks for at a level; `own`: the style's number."""
    return max(1, own - own * level // _SIXTHS)
