"""Putting an archive's run back on a cluster: same run, partitions, offsets, keys, values, headers, timestamps.

In this order, so that it may be interrupted anywhere:
1. the archive: every file is what was written, every topic begins at 0 and has no hole;
2. the topics: those that are missing are made;
3. the cluster: what it has of the run is, record by record, the beginning of what the archive has; if not, nothing is
   written;
4. each partition is written on from where it ends, and then all are read back and compared with the archive;
5. `run` comes last, in the same way: until then no worker, generator or trainer starts on the run.
So an interrupted restore goes on when it is done again, and a complete one done again does nothing.

The worker's changelogs are restored too, so that the next worker goes on and does not decide all again. They are
compacted: their records keep their order, not their offsets. Consumer groups are not restored; the worker does not
trust them anyway (`streams.worker.cursor`). Nobody else may write to the run meanwhile: step 4 would find it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.cluster.admin import administrator
from infra.cluster.connection import MAX_RECORD_BYTES, async_connection
from infra.cluster.refusals import Right, look, refusal
from infra.cluster.topics import apply, wanted_topics
from infra.log.archive import ArchiveFile, ArchiveSource, Show
from infra.log.archiving import TABLES, existing_tables
from infra.log.record import Partition, Record
from infra.log.run import configuration
from infra.log.source import KafkaSource
from infra.settings import Settings
from schemas.errors import BrokerError, ConfigurationError, RunError
from schemas.topics import topic_name

_BATCH_BYTES = 512 * 1024  # uncompressed; a bigger record travels alone, as it did when it was first written
_IN_FLIGHT = 8
_EVERY = 1000  # records between two looks at how far it is


@dataclass(frozen=True)
class Restored:
    """What a restore found and did. `records` are the archive's, `written` those that the cluster had not yet."""

    run: str
    topics: int
    partitions: int
    records: int
    written: int


def restore_archive(settings: Settings, folder: Path, show: Show = lambda what, done, total: None) -> Restored:
    """Put the run in the archive on the cluster, under its own name.

    Raises ConfigurationError for an archive that is damaged or cannot come back as it was, RunError when the cluster
    has other records of the run, TopicMismatch when its topics there are not as declared, BrokerError when the cluster
    does not answer or does not hold afterwards what the archive holds.
    """
    source = ArchiveSource(folder)
    source.verify(show)
    clusters = _clusters(source)
    files, tables = source.manifest.files, source.manifest.tables
    _require_whole(source, clusters)
    apply(settings, source.run, clusters)
    _make_tables(settings, source)
    restoring = _Restoring(settings, source, show)
    standing = restoring.compare((*files, *tables))
    restoring.complete([*tables, *(file for file in files if file.topic != "run")], standing)
    restoring.complete([file for file in files if file.topic == "run"], standing)
    records = sum(file.records for file in files)
    return Restored(
        run=source.run,
        topics=len({file.topic for file in files}),
        partitions=len(files),
        records=records,
        written=records - sum(standing[file.place] for file in files),
    )


def _clusters(source: ArchiveSource) -> int:
    configured, _ = configuration(source)
    if configured.run != source.run:
        raise ConfigurationError(
            f"{source.folder} says it is of run {source.run!r}, and its log is of run {configured.run!r}. A run is "
            "restored under its own name: set it right in the manifest."
        )
    return configured.policy.clusters


def _require_whole(source: ArchiveSource, clusters: int) -> None:
    """Raise ConfigurationError for an archive whose offsets cannot come back, or that has not the run's partitions."""
    files = {(topic_name(source.run, file.topic), file.partition): file for file in source.manifest.files}
    topics = wanted_topics(source.run, clusters)
    wanted = {(topic.name, n) for topic in topics for n in range(topic.partitions)}
    may_lack = {(topic.name, 0) for topic in topics if topic.optional}
    if wrong := sorted((files.keys() ^ wanted) - (may_lack - files.keys())):
        raise ConfigurationError(
            f"{source.folder} does not have just the partitions of a run with {clusters} clusters; the first that "
            f"is too many or missing is {wrong[0][0]}/{wrong[0][1]}. Archive the run again with this version."
        )
    for file in files.values():
        if file.start or file.records != file.end:
            raise ConfigurationError(
                f"{file.name} has {file.records} records of offsets {file.start} to {file.end}: some were gone from "
                "the log when it was archived, so its offsets cannot be the same again, and the run would mean "
                "something else. It can be read where it is, with --from-files."
            )
    if wrong_tables := [file.name for file in source.manifest.tables if file.place not in {(t, 0) for t in TABLES}]:
        raise ConfigurationError(f"{wrong_tables[0]} is no table of the worker. Archive the run again.")


def _make_tables(settings: Settings, source: ArchiveSource) -> None:
    there = existing_tables(settings, source.run)
    names = [topic_name(source.run, file.topic) for file in source.manifest.tables if file.topic not in there]
    if not names:
        return
    as_faust_does = {"cleanup.policy": "compact"}
    options = {"num_partitions": 1, "replication_factor": settings.replication_factor, "configs": as_faust_does}
    with administrator(settings) as admin:
        admin.create_topics(dict.fromkeys(names, options))
        admin.wait_for_topics(names)


class _Restoring:
    """The archive and the cluster, side by side."""

    def __init__(self, settings: Settings, source: ArchiveSource, show: Show) -> None:
        self._settings = settings
        self._source = source
        self._show = show

    def compare(self, files: Sequence[ArchiveFile]) -> dict[Partition, int]:
        """How many of each file's records stand on the cluster.

        Raises RunError when what stands there is not the beginning of the file.
        """
        topics = {file.topic for file in files}
        standing: dict[Partition, int] = {}
        done = 0
        with self._source.open(topics) as archive, KafkaSource(self._settings, self._source.run).open(topics) as there:
            total = sum(there.ends().values())
            for place in (file.place for file in files):
                count = 0
                while (record := there.next(*place)) is not None:
                    self._require_same(record, archive.next(*place))
                    count += 1
                    if count % _EVERY == 0:
                        self._show("comparing", done + count, total)
                if place[0] not in TABLES and there.ends()[place] != count:
                    raise RunError(self._other(f"{place[0]}/{place[1]} has lost {there.ends()[place] - count} records"))
                standing[place] = count
                done += count
            self._show("comparing", total, total)
        return standing

    def complete(self, files: Sequence[ArchiveFile], standing: Mapping[Partition, int]) -> None:
        """Write what each partition lacks, then read all back."""
        try:
            asyncio.run(self._write(files, standing))
        except KafkaError as error:
            raise refusal(self._settings, error, Right("Write")) or BrokerError(
                f"Writing run {self._source.run!r} to {self._settings.bootstrap_servers} failed ({error!r}). Restore "
                f"again when the cluster is well: it goes on where it stopped. {look(self._settings)}"
            ) from error
        found = self.compare(files)
        for file in files:
            if found[file.place] != file.records:
                raise BrokerError(
                    f"{file.topic}/{file.partition} has {found[file.place]} of {file.records} records after all were "
                    "confirmed. Does the cluster keep records for ever (retention)? Then restore again."
                )

    async def _write(self, files: Sequence[ArchiveFile], standing: Mapping[Partition, int]) -> None:
        missing = [file for file in files if standing[file.place] < file.records]
        total = sum(file.records - standing[file.place] for file in missing)
        if not missing:
            return
        done = 0
        async with AIOKafkaProducer(
            **async_connection(self._settings, f"sedi-{self._source.run}-restore"),
            acks="all",
            enable_idempotence=True,
            compression_type="gzip",
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
        ) as producer:
            with self._source.open({file.topic for file in missing}) as archive:
                for file in missing:
                    records = iter(partial(archive.next, *file.place), None)
                    batches = _batches(producer, islice(records, standing[file.place], None))
                    pending: deque[Awaitable[Any]] = deque()
                    for batch in batches:
                        name = topic_name(self._source.run, file.topic)
                        pending.append(await producer.send_batch(batch, name, partition=file.partition))
                        done += batch.record_count()
                        if len(pending) == _IN_FLIGHT:
                            await pending.popleft()
                            self._show("writing", done, total)
                    for confirmed in pending:
                        await confirmed
        self._show("writing", total, total)

    def _require_same(self, found: Record, wanted: Record | None) -> None:
        what = f"{found.topic}/{found.partition} at offset {found.offset}"
        if wanted is None:
            raise RunError(self._other(f"it goes on at {what}, where the archive ends"))
        same_offset = found.offset == wanted.offset or found.topic in TABLES
        if not same_offset or _content(found) != _content(wanted):
            raise RunError(self._other(f"{what} is another record"))

    def _other(self, what: str) -> str:
        return (
            f"{self._settings.bootstrap_servers} has something else under the name of run {self._source.run!r} than "
            f"{self._source.folder}: {what}. Restore to another cluster, or delete the topics "
            f"{topic_name(self._source.run, '*')} there first; and let nobody write to the run meanwhile."
        )


def _batches(producer: AIOKafkaProducer, records: Iterable[Record]) -> Iterator[Any]:
    """The records in batches as big as they may be.

    Batches and not single records, because only these take all that Kafka holds: a record without key and value.
    """
    batch = producer.create_batch()
    for record in records:
        if not _append(batch, record):
            yield batch
            batch = producer.create_batch()
            _append(batch, record)
    if batch.record_count():
        yield batch


def _append(batch: Any, record: Record) -> bool:
    taken = batch.append(
        timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=list(record.headers)
    )
    return taken is not None


def _content(record: Record) -> tuple[object, ...]:
    return record.timestamp_ms, record.key, record.value, record.headers
