"""Keeps a `LaneProgress` up to date from the log, and starts quickly from a snapshot of the fold.

A first start reads the run's whole log. A snapshot (`producers.generate.snapshots`) is written when the generator ends
and every `_EVERY` records, with the offsets it covers; the next start reads on from there. The log stays the source of
truth: a snapshot that does not match it is discarded, and all is read. `seed-commands` has one record a training window
and is always read from its start.
"""

from collections.abc import Callable

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from producers.generate.progress import TOPICS, YIELD_WINDOW, LaneProgress
from producers.generate.snapshots import Covered, SnapshotFile, covered_by
from producers.generate.yield_window import YieldWindow
from schemas.events import RunConfigured

_COVERED = tuple(topic for topic in TOPICS if topic != "seed-commands")
_EVERY = 20_000  # records between two snapshots


class ProgressReader:
    """Keeps a `LaneProgress` up to date; one thread at a time.

    read_at_start   records read before the constructor returned: few after a snapshot
    """

    def __init__(
        self,
        settings: Settings,
        configured: RunConfigured,
        lane: str,
        *,
        yield_window: int = YIELD_WINDOW,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._run = configured.run
        self._notify = notify
        self._file = SnapshotFile(settings.state_dir, configured, lane, yield_window)
        self._covered: dict[str, Covered] = {}
        self._last: dict[str, Record] = {}
        self._since = self.read_at_start = 0
        self._starting = True
        self._reader = LogReader(settings, self._run, TOPICS, f"generator-{lane}")
        try:
            self.progress = self._from_snapshot() or self._from_start(
                LaneProgress(lane, configured, rolling=YieldWindow(yield_window))
            )
            self.refresh()
        except BaseException:
            self.close()
            raise
        self._starting = False

    def refresh(self) -> LaneProgress:
        """Apply everything that is on the log now."""
        for record in self._reader.read_to_end():
            self._take(self.progress, record)
        if self._since >= _EVERY:
            self.keep()
        return self.progress

    def keep(self) -> None:
        """Write a snapshot. A failure to write it is reported and otherwise ignored."""
        for topic, record in self._last.items():
            self._covered[topic] = covered_by(record)
        try:
            self._file.write(self.progress.state(), self._covered)
        except OSError as error:
            self._notify(
                f"The snapshot for a quick start could not be written ({error}); the next start reads the log."
            )
        self._last.clear()
        self._since = 0

    def close(self) -> None:
        self._reader.close()

    def _from_snapshot(self) -> LaneProgress | None:
        """The progress of the snapshot, if there is one that matches the log."""
        found = self._file.read()
        if found is None or not all(self._matches(topic, covered) for topic, covered in found.covered.items()):
            return None
        self._covered = dict(found.covered)
        for topic, covered in found.covered.items():
            self._reader.seek(topic, 0, covered.offset + 1)
        return LaneProgress.of(self._file.lane, self._file.configured, found.state)

    def _matches(self, topic: str, covered: Covered) -> bool:
        """Whether the last covered record is unchanged on the log."""
        if self._reader.ends([topic])[topic, 0] <= covered.offset:
            return False
        with LogReader(self._settings, self._run, [topic], f"generator-{self._file.lane}-check") as reader:
            found = reader.read_range(topic, 0, covered.offset, covered.offset + 1, 1)
        return [covered_by(record) for record in found] == [covered]

    def _from_start(self, progress: LaneProgress) -> LaneProgress:
        """Read `generated` first, so that the calls of finished generations need not be held in memory."""
        with LogReader(self._settings, self._run, ["generated"], f"generator-{progress.lane}-first") as reader:
            for record in reader.read_to_end():
                self._take(progress, record)
            self._reader.seek("generated", 0, reader.position("generated", 0))
        return progress

    def _take(self, progress: LaneProgress, record: Record) -> None:
        progress.apply(record)
        self._since += 1
        self.read_at_start += self._starting
        if record.topic in _COVERED:
            self._last[record.topic] = record
