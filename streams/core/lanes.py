"""Which generation numbers of each lane have been taken: each is fresh once, in whatever order they come.

A generator writes the numbers of its lane without a gap, so a number that is missing below the last is one whose record
could not be read. When that record comes again, mended or put back from the dead letters, its number is fresh, although
it is below the last. What is missing is held as ranges, so that one absurd number costs one range and no more.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

Range = tuple[int, int]
"""Numbers from the first up to and with the second."""


@dataclass
class LaneNumbers:
    """The state of the fold.

    last      the highest number taken, by lane
    missing   ranges of numbers below it that were not taken, ascending, by lane; lanes without one are not here
    """

    last: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[Range]] = field(default_factory=dict)

    def fresh(self, lane: str, number: int) -> bool:
        """Whether this number of the lane was not taken yet."""
        return number > self.last.get(lane, -1) or self._gap(lane, number) is not None

    def take(self, lane: str, number: int) -> bool:
        """Take a number; False, and no change, when it was taken before."""
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
        """Where in `missing` the range with this number stands."""
        ranges = self.missing.get(lane, [])
        place = bisect_right(ranges, number, key=lambda found: found[0]) - 1
        return place if place >= 0 and number <= ranges[place][1] else None
