"""A run's log in memory, as a source."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from infra.log.record import Partition, Record
from infra.log.source import Reading


class MemorySource:
    """Records by partition, whatever their order against each other was."""

    def __init__(self, run: str, records: Iterable[Record], batch_size: int = 2) -> None:
        self.run = run
        self.name = f"run {run!r} in memory"
        self.records: dict[Partition, list[Record]] = defaultdict(list)
        for topic in ("run", "documents", "generated", "rejected", "judged"):
            self.records[topic, 0] = []
        for cluster in range(batch_size):
            self.records["kept", cluster] = []
        for record in records:
            self.records[record.place].append(record)

    @contextmanager
    def open(self, topics: Iterable[str]) -> Iterator[Reading]:
        wanted = set(topics)
        yield MemoryReading({place: records for place, records in self.records.items() if place[0] in wanted})


class MemoryReading:
    def __init__(self, records: dict[Partition, list[Record]]) -> None:
        self._records = records
        self._given = dict.fromkeys(records, 0)

    def starts(self) -> dict[Partition, int]:
        return dict.fromkeys(self._records, 0)

    def ends(self) -> dict[Partition, int]:
        return {place: len(records) for place, records in self._records.items()}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._given[topic, partition] = offset

    def next(self, topic: str, partition: int) -> Record | None:
        place = topic, partition
        if self._given[place] == len(self._records[place]):
            return None
        self._given[place] += 1
        return self._records[place][self._given[place] - 1]

    def rest(self) -> Iterator[Record]:
        for place in self._records:
            while (record := self.next(*place)) is not None:
                yield record
