"""Whether kept rows still wait for their answer, in a run that answers kept instructions alone.

`kept` and `answered` have the rows of a cluster in the same order. So all are answered when the last one is.
"""

from collections.abc import Mapping

from schemas.events import InstructionAnswered, InstructionKept
from streams.core.batches import PartitionPosition

_Key = tuple[int, int]
_NONE: _Key = (-1, -1)


class UnansweredRows:
    """The last row of each cluster on both topics, as far as they were read."""

    def __init__(self) -> None:
        self._kept: dict[int, _Key] = {}
        self._answered: dict[int, _Key] = {}

    def begin(self, positions: Mapping[int, PartitionPosition]) -> None:
        """Begin a pass: rows up to these positions are answered."""
        self._kept = {}
        self._answered = {cluster: position.key for cluster, position in positions.items()}

    def apply(self, event: object) -> None:
        """Take a record's event of either topic into account."""
        match event:
            case InstructionAnswered(row=row):
                self._answered[row.cluster] = _later(self._answered, row)
            case InstructionKept():
                self._kept[event.cluster] = _later(self._kept, event)
            case _:
                pass

    @property
    def clusters(self) -> int:
        """How many clusters have rows without an answer."""
        return sum(key > self._answered.get(cluster, _NONE) for cluster, key in self._kept.items())


def _later(last: Mapping[int, _Key], row: InstructionKept) -> _Key:
    return max(last.get(row.cluster, _NONE), (row.generated_offset, row.place))
