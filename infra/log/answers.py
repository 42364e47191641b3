"""The answers to kept rows, in a run that answers kept instructions alone: `answered`, read beside `kept`.

Both topics have the rows of a cluster in the same order, one partition a cluster. So whoever goes through the kept rows
finds each one's answer by reading `answered` on, in constant memory.
"""

from infra.log.source import Reading
from schemas.events import InstructionAnswered, InstructionKept

TOPIC = "answered"

_Key = tuple[int, int]


class AnswersInOrder:
    """Finds the answers of kept rows that are asked for in the order of their cluster. Repeats are dropped.

    next_offsets   of each partition, the offset after the last record that was used
    """

    def __init__(self) -> None:
        self.next_offsets: dict[int, int] = {}
        self._waiting: dict[int, tuple[int, InstructionAnswered]] = {}  # the next answer of a cluster, with its offset

    def seek(self, reading: Reading) -> None:
        """Go on with another reading of `answered`, before its first record is read."""
        for topic, partition in reading.ends():
            if topic == TOPIC:
                place = self._waiting.get(partition)
                read = self.next_offsets.get(partition, 0) if place is None else place[0] + 1
                reading.seek(TOPIC, partition, max(read, reading.starts()[TOPIC, partition]))

    def of(self, reading: Reading, row: InstructionKept) -> InstructionAnswered | None:
        """The answer to a row; None: there is none yet, or its record cannot be read (`is_passed`)."""
        while (found := self._next(reading, row.cluster)) is not None:
            offset, event = found
            if _key(event.row) > _key(row):
                return None
            del self._waiting[row.cluster]
            if event.row.id == row.id:
                self.next_offsets[row.cluster] = offset + 1
                return event
        return None

    def is_passed(self, row: InstructionKept) -> bool:
        """Whether a row without an answer will get none: a later row of its cluster has one."""
        return row.cluster in self._waiting

    def _next(self, reading: Reading, cluster: int) -> tuple[int, InstructionAnswered] | None:
        while cluster not in self._waiting and (TOPIC, cluster) in reading.ends():
            record = reading.next(TOPIC, cluster)
            if record is None:
                return None
            if isinstance(record.event, InstructionAnswered):
                self._waiting[cluster] = record.offset, record.event
        return self._waiting.get(cluster)


def _key(row: InstructionKept) -> _Key:
    return row.generated_offset, row.place
