"""A state kept up to date from a run's log, which begins with its snapshot and leaves another.

`catch_up` reads to the end of a log once, `LogFollower` reads on from there. What is read first is read as a bounded
reading (`infra.log.source`): effects before their causes, and several times as fast as by a reader that follows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from infra.log.closing import Closing
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.source import KafkaSource, Source
from infra.settings import Settings
from infra.snapshots.coverage import Coverage, goes_on, unread
from infra.snapshots.files import SnapshotFile, is_due
from infra.snapshots.own_data import from_bytes
from schemas.errors import RunError, SchemaError

S = TypeVar("S")


@dataclass(frozen=True)
class StateForm(Generic[S]):
    """How a state is made.

    begin     the state before the first record
    apply     applies a record to it; each partition's come in order
    to_bytes, from_bytes   for a snapshot; the latter raises SchemaError for what is none
    """

    begin: Callable[[], S]
    apply: Callable[[S, Record], object]
    to_bytes: Callable[[S], bytes]
    from_bytes: Callable[[bytes], S]


def reading_back(kind: type[S], *modules: str) -> Callable[[bytes], S]:
    """Reads states of a kind whose classes are in these modules, the schemas and the core."""
    return lambda raw: from_bytes(raw, kind, modules)


@dataclass(frozen=True)
class CaughtUp(Generic[S]):
    """A state at the end of a log. `went_on`: whether it began with a snapshot; `read`: records that it took then."""

    state: S
    coverage: Coverage
    went_on: bool
    read: int


def catch_up(source: Source, topics: Iterable[str], form: StateForm[S], file: SnapshotFile | None) -> CaughtUp[S]:
    """The state at the end of these topics, as of now. Raises what opening and reading the log raises."""
    wanted = tuple(topics)
    found = None if file is None else file.read()
    if found is not None:
        with source.open(wanted) as reading:
            if goes_on(source, reading, found.covered.values()):
                try:
                    state = form.from_bytes(found.state)
                except SchemaError:
                    pass
                else:
                    coverage = found.coverage()
                    for record in unread(reading, coverage):
                        form.apply(state, record)
                    return CaughtUp(state, coverage, True, coverage.fresh)
    state, coverage = form.begin(), Coverage()
    with source.open(wanted) as reading:
        for record in unread(reading, coverage):
            form.apply(state, record)
    return CaughtUp(state, coverage, False, coverage.fresh)


class LogFollower(Closing, Generic[S]):
    """Keeps a state up to date; one thread at a time.

    state     as of the last `refresh`, or the construction
    caught    what the construction read
    """

    def __init__(
        self,
        settings: Settings,
        run: str,
        topics: Sequence[str],
        component: str,
        form: StateForm[S],
        file: SnapshotFile | None,
        *,
        beside: Sequence[str] = (),
        in_turn: bool = False,
    ) -> None:
        """Raises RunError when there is no such run, BrokerError when the cluster does not answer.

        beside    topics that are no part of the snapshot: they are read from their starts
        in_turn   each topic is read to its end before the next one, in their order; else they are read together
        """
        self._run = run
        self._form = form
        self._file = file
        self._covered = frozenset(topics)
        self._whole = True  # False after a fault in the midst of a record: then the state is ahead of what it covers
        self.caught = catch_up(KafkaSource(settings, run), topics, form, file)
        self.state = self.caught.state
        self.coverage = self.caught.coverage
        together = [(topic,) for topic in (*topics, *beside)] if in_turn else [(*topics, *beside)]
        self._readers: list[LogReader] = []
        try:
            for group in together:
                reader = LogReader(settings, run, group, component)
                self._readers.append(reader)
                starts = {place: start for place, start in reader.starts().items() if place[0] in self._covered}
                self.coverage.begin(starts)
                for place in starts:
                    reader.seek(*place, self.coverage.position(place))
        except BaseException:
            self.close()
            raise

    def refresh(self) -> S:
        """Apply everything that is on the log now. Raises RunError when the run was made again meanwhile."""
        for reader in self._readers:
            for record in reader.read_to_end():
                self._take(record)
        return self.state

    def keep(self, *, now: bool = False, last: bool = False) -> None:
        """Write a snapshot where that pays, or `now`; the `last` one of a process pays sooner."""
        if self._file is not None and self._whole and (now or is_due(self.coverage, last=last)):
            self._file.write(self.coverage.now(), self._form.to_bytes(self.state))
            self.coverage.fresh = 0

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def _take(self, record: Record) -> None:
        if record.topic not in self._covered:
            self._form.apply(self.state, record)
            return
        position = self.coverage.position(record.place)
        if record.offset < position:
            raise RunError(
                f"Run {self._run!r} was made again: {record.topic}/{record.partition} was read to {position} and goes "
                f"on at {record.offset}. Start this command again."
            )
        self._whole = False
        self._form.apply(self.state, record)
        self.coverage.take(record)
        self._whole = True
