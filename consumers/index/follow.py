"""Reads a run's log into its index, in a thread: an archive to its end, a cluster's log as long as the page is open.

A cluster that does not answer is asked again every second; the index goes on where it was, so nothing is missing and
nothing is there twice. `FollowState` says what a page shows of it.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from consumers.index.run_index import INDEXED, RunIndex
from consumers.status import BrokerHealth, Status, status_of
from infra.cluster.listener import require_listener
from infra.log.archive import ArchiveSource
from infra.log.closing import Closing
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.source import KafkaSource, Source
from infra.runs.local_state import WEB_FOLDER
from infra.settings import Settings
from infra.snapshots.coverage import identity_of
from infra.visible import first_line
from schemas.errors import BrokerError, RunError, SediError

_BATCH = 500
_RETRY_S = 1.0
_PROBE_S = 1.0
_LOOK_S = 0.5  # at least, between two statuses
_LOOK_SHARE = 10  # a status is not computed again before so many times the time that it took
_NEW_TOPICS_S = 20.0


@dataclass(frozen=True)
class FollowState:
    """Where the following is.

    status      of the run, as of the records applied; None before the first look
    behind      records that are on the log and not yet applied, when it was last asked; None: not known
    connected   whether the log can be read; `detail` says why not
    ended       whether nothing will follow: an archive that was read, or a fault that asking again does not mend
    """

    version: int = -1
    status: Status | None = None
    behind: int | None = None
    connected: bool = True
    detail: str = ""
    ended: bool = False


class Follower(Closing):
    """Follows one run into `folder`. `start` begins; `state` is replaced as a whole, so any thread may read it.

    Raises what `RunIndex` raises.
    """

    def __init__(self, source: Source, folder: Path, settings: Settings | None = None) -> None:
        self.source = source
        self.live = settings is not None
        self._settings = settings
        self._folder = folder
        self.index = self._opened()
        self.state = FollowState()
        self._looked = (0.0, 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"index-{source.run}", daemon=True)

    def _opened(self) -> RunIndex:
        return RunIndex(self.source, self._folder / f"{_file_name(self.source)}.sqlite", identity_of(self.source))

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.index.close()

    def _run(self) -> None:
        while not self._stop.is_set() and not self.state.ended:
            try:
                if self._settings is None:
                    self._read_archive()
                else:
                    self._follow(self._settings)
            except BrokerError as error:
                self._publish(connected=False, detail=str(error), ended=error.permanent)
                self._stop.wait(_RETRY_S)
            except (SediError, OSError, sqlite3.Error) as error:
                self._publish(connected=False, detail=first_line(error), ended=True)
            except BaseException as error:
                self._publish(connected=False, detail=f"a fault of this program: {first_line(error)}", ended=True)
                raise

    def _read_archive(self) -> None:
        with self.source.open(INDEXED) as reading:
            ends = reading.ends()
            for place in ends:
                if place in self.index.positions:
                    reading.seek(*place, self.index.positions[place])
            left = sum(end - self.index.positions.get(place, 0) for place, end in ends.items())
            rest = reading.rest()
            while not self._stop.is_set() and (batch := list(islice(rest, _BATCH))):
                self.index.apply(batch)
                left -= len(batch)
                self._look(behind=max(0, left))
        if not self._stop.is_set():
            self.index.checkpoint()
            self._look(behind=0, ended=True)

    def _follow(self, settings: Settings) -> None:
        with LogReader(settings, self.source.run, INDEXED, "web") as reader:
            ends = reader.ends()
            if self.index.is_beyond(ends):
                raise self._made_again()
            for place, start in reader.starts().items():
                reader.seek(*place, self.index.positions.get(place, start))
            for batch in self._arrivals(settings, reader):
                if batch:
                    if any(record.offset < self.index.positions.get(record.place, 0) for record in batch):
                        raise self._made_again()  # the reader began anew, at the start of another log
                    self.index.apply(batch)
                    ends |= {r.place: r.offset + 1 for r in batch if r.offset >= ends.get(r.place, 0)}
                behind = sum(max(0, end - self.index.positions.get(place, 0)) for place, end in ends.items())
                self._look(behind=behind)
                self.index.checkpoint(now=False)

    def _made_again(self) -> RunError:
        return RunError(
            f"Run {self.source.run!r} was made again: its log is not the one that was read. Start `sedi web` again."
        )

    def _arrivals(self, settings: Settings, reader: LogReader) -> Iterator[list[Record]]:
        """Records as they come, an empty list twice a second where there are none. Raises BrokerError for a cluster
        that is gone: the client would only go on asking. Ends now and then, for topics that were made meanwhile."""
        probed = began = time.monotonic()
        while not self._stop.is_set():
            records = reader.poll(0.25, _BATCH)
            yield records
            now = time.monotonic()
            if records:
                probed = now
            elif now - probed > _PROBE_S:
                require_listener(settings, 2.0)
                probed = now
            if not records and now - began > _NEW_TOPICS_S:
                return

    def _look(self, *, behind: int, ended: bool = False) -> None:
        at, took = self._looked
        due = time.monotonic() - at > max(_LOOK_S, _LOOK_SHARE * took)
        idle = self.index.version == self.state.version and self.state.connected and self.state.behind == behind
        if ended or (due and not (idle and not self._rates_change())):
            began = time.monotonic()
            self._publish(behind=behind, ended=ended)
            self._looked = time.monotonic(), time.monotonic() - began

    def _rates_change(self) -> bool:
        """Whether the last rates shown would be others by now."""
        status = self.state.status
        return status is not None and self.live and any(msgspec.structs.astuple(status.rates))

    def _publish(
        self, *, behind: int | None = None, connected: bool = True, detail: str = "", ended: bool = False
    ) -> None:
        now = int(time.time() * 1000)
        where = self.source.name if self._settings is None else self._settings.bootstrap_servers
        broker = BrokerHealth(healthy=connected, bootstrap=where, brokers=int(connected and self.live), detail=detail)
        version = self.index.version
        status = self.index.look(lambda fold: status_of(fold, now, broker))
        self.state = FollowState(version, status, behind, connected, detail, ended)


def _file_name(source: Source) -> str:
    where = str(source.folder.resolve()) if isinstance(source, ArchiveSource) else source.name
    return f"{source.run}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"


def follower(settings: Settings, run: str | None, archive: Path | None) -> Follower:
    """A follower of a run on the cluster, or of an archive; its index is in the state folder."""
    folder = settings.state_dir / WEB_FOLDER
    if archive is not None:
        return Follower(ArchiveSource(archive), folder)
    assert run is not None
    return Follower(KafkaSource(settings, run), folder, settings)
