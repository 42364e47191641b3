"""Reading a run's topics one after the other, without what stands twice.

Each topic's rule is that of `consumers.folds.run_fold` and `consumers.folds.verdicts`; here it is applied without
keeping what the records say, so that memory hardly grows with the run. For it `rejected` must be read before
`generated`. Repeats on `seed-commands` are told by `streams.core.seeds.SeedPool.apply`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from infra.log.record import Record
from infra.log.source import Reading
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, TrainingLogged
from streams.core.lanes import LaneNumbers

ReadProgress = Callable[[int], None]
"""Told, now and then, how many more records were read."""

_PROGRESS_EVERY = 500


def no_progress(_: int) -> None:
    pass


@dataclass
class Deduplicator:
    """Which events count. Records of one partition come in offset order.

    decided_offset   the last record of `generated` that the filter is done with, -1 for none
    unread           records of `generated` that the filter could not read: they count for nothing, for ever
    """

    decided_offset: int = -1
    unread: set[int] = field(default_factory=set)
    _lanes: LaneNumbers = field(default_factory=LaneNumbers)
    _kept: dict[int, tuple[int, int]] = field(default_factory=dict)
    _windows: set[tuple[int, int]] = field(default_factory=set)

    def generated(self, event: InstructionsGenerated, offset: int) -> bool:
        return offset not in self.unread and self._lanes.take(event.lane, event.number)

    def kept(self, event: InstructionKept, partition: int) -> bool:
        cause = event.generated_offset, event.place
        if cause <= self._kept.get(partition, (-1, -1)):
            return False
        self._kept[partition] = cause
        return True

    def rejected(self, event: InstructionsRejected) -> bool:
        if event.generated_offset <= self.decided_offset:
            return False
        self.decided_offset = event.generated_offset
        if not event.generation_id:
            self.unread.add(event.generated_offset)
        return True

    def trained(self, event: TrainingLogged) -> bool:
        window = event.epoch, event.window
        fresh = window not in self._windows
        self._windows.add(window)
        return fresh


def records(reading: Reading, topic: str, progress: ReadProgress = no_progress) -> Iterator[Record]:
    """What is left of a topic, one partition after the other."""
    read = 0
    for name, partition in sorted(reading.ends()):
        if name != topic:
            continue
        while (record := reading.next(topic, partition)) is not None:
            yield record
            read += 1
            if read % _PROGRESS_EVERY == 0:
                progress(_PROGRESS_EVERY)
    progress(read % _PROGRESS_EVERY)
