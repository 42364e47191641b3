"""One run's index: its fold in memory and its tables on disk, applied up to the same offsets.

A checkpoint holds the fold and the offsets after the last record in it, written in one transaction. Opening begins
there: what the tables had further is applied again and gives the same rows. The index is built anew when the log is
another one (a run that was made again, an archive that was edited), when these programs are, or when it cannot be read.

One process has an index open for writing. Looking things up (`tables.reading`) is for any thread, meanwhile.
"""

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from consumers.folds.read_fold import CODE, FOLDED, MODULES
from consumers.folds.run_fold import RunFold
from consumers.index import tables
from consumers.index.writer import IndexWriter
from infra.log.closing import Closing
from infra.log.record import Partition, Record
from infra.log.run import configuration
from infra.log.source import Source
from infra.snapshots.own_data import from_bytes, program_digest, to_bytes
from schemas.errors import ConfigurationError, SchemaError

Found = TypeVar("Found")

INDEXED = FOLDED
"""The topics that an index holds."""

_CODE = (*CODE, "consumers/index", "consumers/summary.py", "consumers/feedback_terms.py")

_CHECKPOINT_S = 20.0
_SHARE = 20  # a checkpoint is not written again before so many times the time that it took


class RunIndex(Closing):
    """The index of a run in `file`. Raises ConfigurationError when another process has it open, RunError when there is
    no such run.

    positions   the next offset to apply, by partition
    committed   those whose rows can be looked up
    version     grows with every record that is applied
    built       whether nothing of an earlier index was used
    """

    def __init__(self, source: Source, file: Path, identity: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self.run = source.run
        self.version = 0
        self._lock = threading.Lock()
        self._holding = file.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._holding, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._holding.close()
            raise ConfigurationError(
                f"The index {file} is used by another process. Look at its page, end it, or give another --state-dir."
            ) from None
        try:
            configured, _ = configuration(source)
            self._begin(RunFold(configured), f"{program_digest(*_CODE)} {identity}")
        except BaseException:
            self._holding.close()
            raise

    def _begin(self, empty: RunFold, identity: str) -> None:
        found = _restored(self.file, identity)
        self.built = found is None
        if found is None:
            self._tables = tables.create(self.file)
            self._tables.execute("INSERT INTO meta VALUES ('identity', ?)", (identity,))
            self._tables.commit()
            self.fold: RunFold = empty
            self.positions: dict[Partition, int] = {}
        else:
            self._tables, self.fold, self.positions = found
        self._writer = IndexWriter(self._tables, self.fold)
        self._saved_at, self._saving_s, self._saved_version = time.monotonic(), 0.0, 0
        self._whole = True  # False after a fault in the midst of applying: then the fold is ahead of the tables
        self.committed: Mapping[Partition, int] = dict(self.positions)

    def apply(self, records: Iterable[Record]) -> None:
        """Apply records and commit: each partition's in order, none left out. One that was applied is passed over."""
        with self._lock:
            self._whole = False
            for record in records:
                if record.offset < self.positions.get(record.place, 0):
                    continue
                self._writer.apply(record)
                self.positions[record.place] = record.offset + 1
                self.version += 1
            self._tables.commit()
            self._whole = True
            self.committed = dict(self.positions)

    def look(self, read: Callable[[RunFold], Found]) -> Found:
        """What a function reads from the fold while nothing is applied."""
        with self._lock:
            return read(self.fold)

    def checkpoint(self, *, now: bool = True) -> None:
        """Write a checkpoint; unless `now`, only if it is due."""
        waited = time.monotonic() - self._saved_at
        if (
            not self._whole
            or self.version == self._saved_version
            or not (now or waited > max(_CHECKPOINT_S, _SHARE * self._saving_s))
        ):
            return
        with self._lock:
            began = time.monotonic()
            positions = msgspec.json.encode([(*place, offset) for place, offset in self.positions.items()])
            line = (positions, to_bytes(self.fold))
            self._tables.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?)", line)
            self._tables.commit()
            self._saved_at = time.monotonic()
            self._saving_s, self._saved_version = self._saved_at - began, self.version

    def is_beyond(self, ends: Mapping[Partition, int]) -> bool:
        """Whether more is applied than a log with these ends has: then it is another log."""
        return any(offset > ends.get(place, 0) for place, offset in self.positions.items())

    def close(self) -> None:
        try:
            self.checkpoint()
        finally:
            self._tables.close()
            self._holding.close()


def _restored(file: Path, identity: str) -> tuple[sqlite3.Connection, RunFold, dict[Partition, int]] | None:
    """What an earlier index has; None when there is none that can be used."""
    if not file.exists():
        return None
    try:
        opened = tables.open_for_writing(file)
    except sqlite3.Error:
        return None
    try:
        (kept,) = opened.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone() or ("",)
        found = opened.execute("SELECT positions, fold FROM checkpoint").fetchone()
        if kept == identity and found is not None:
            places = msgspec.json.decode(found[0], type=list[tuple[str, int, int]])
            return (
                opened,
                from_bytes(found[1], RunFold, MODULES),
                {(topic, part): offset for topic, part, offset in places},
            )
    except (sqlite3.Error, SchemaError, msgspec.MsgspecError):
        pass
    opened.close()
    return None
