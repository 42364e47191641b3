"""Deduplicates generations by their number in a lane: each number is fresh once, in any order.

A generator writes the numbers of its lane without gaps, so a missing number below the last belongs to a record that
could not be read. When that record is written again, repaired or from the dead letters, its number is fresh. Missing
numbers are stored as ranges, so one absurd number costs one range.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

Range = tuple[int, int]
"""The numbers from the first to the second, inclusive."""


@dataclass
class LaneNumbers:
    """The state of the fold.

    last      the highest number taken, by lane
    missing   ranges of numbers below it that were not taken, ascending, by lane; only lanes that have some
    """

    last: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[Range]] = field(default_factory=dict)

    def fresh(self, lane: str, number: int) -> bool:
        """Whether a number of the lane has not been taken yet."""
        return number > self.last.get(lane, -1) or self._gap(lane, number) is not None

    def take(self, lane: str, number: int) -> bool:
        """Take a number; False, without change, when it was taken before."""
        last = self.last.get(lane, -1)
        if number > last:
            self.last[lane] = number
            if number > last + 1:
                self.missing.setdefault(lane, []).append((last + 1, number - 1))
            return True
        place = self._gap(lane, number)
        if place is None:
            return False
        ranges = self.missing[lane]
        first, end = ranges[place]
        ranges[place : place + 1] = [
            (start, stop) for start, stop in ((first, number - 1), (number + 1, end)) if start <= stop
        ]
        if not ranges:
            del self.missing[lane]
        return True

    def _gap(self, lane: str, number: int) -> int | None:
        """The index in `missing` of the range with this number."""
        ranges = self.missing.get(lane, [])
        place = bisect_right(ranges, number, key=lambda found: found[0]) - 1
        return place if place >= 0 and number <= ranges[place][1] else None
