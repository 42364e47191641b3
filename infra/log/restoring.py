"""Restores a run from an archive to a cluster: same run, partitions, offsets, keys, values, headers, timestamps.

In this order, so that it may be interrupted anywhere:
1. check the archive: every file is as written, every topic begins at 0 without gaps;
2. create missing topics;
3. compare the cluster: its records must be, one by one, a prefix of the archive's, otherwise nothing is written;
4. write the rest of each partition, then read everything back and compare it with the archive;
5. write `run` last, in the same way: before, no worker, generator or trainer starts on the run.
So a repeated restore resumes an interrupted one, and does nothing after a complete one.

The worker's changelogs are restored too, so that the next worker resumes and does not decide everything again. They are
compacted: their records keep their order, not their offsets. Consumer groups are not restored; the worker does not rely
on them (`streams.worker.cursor`). Nobody else may write to the run meanwhile: step 4 would find it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from infra.cluster.admin import administrator
from infra.cluster.refusals import Right, refusal, status_hint
from infra.cluster.topics import apply, wanted_topics
from infra.log.archive import ArchiveFile, ArchiveSource, Show
from infra.log.archiving import TABLES, existing_tables
from infra.log.record import Partition, Record
from infra.log.record_batches import Content, bulk_producer, record_batches
from infra.log.run import configuration
from infra.log.source import KafkaSource
from infra.settings import Settings
from schemas.errors import BrokerError, ConfigurationError, RunError
from schemas.topics import topic_name

_IN_FLIGHT = 8
_EVERY = 1000  # records between two progress reports


@dataclass(frozen=True)
class Restored:
    """The result of a restore. `records` are the archive's, `written` those that the cluster lacked."""

    run: str
    topics: int
    partitions: int
    records: int
    written: int


def restore_archive(settings: Settings, folder: Path, show: Show = lambda what, done, total: None) -> Restored:
    """Restore the archive's run to the cluster, under its own name.

    Raises ConfigurationError for an archive that is damaged or cannot be restored exactly, RunError when the cluster
    has other records of the run, TopicMismatch when its topics there are not as declared, BrokerError when the cluster
    does not answer or differs from the archive afterwards.
    """
    source = ArchiveSource(folder)
    source.verify(show)
    clusters = _clusters(source)
    files, tables = source.manifest.files, source.manifest.tables
    _require_whole(source, clusters)
    apply(settings, source.run, clusters)
    _make_tables(settings, source)
    restoring = _Restoring(settings, source, show)
    present = restoring.compare((*files, *tables))
    restoring.complete([*tables, *(file for file in files if file.topic != "run")], present)
    restoring.complete([file for file in files if file.topic == "run"], present)
    records = sum(file.records for file in files)
    return Restored(
        run=source.run,
        topics=len({file.topic for file in files}),
        partitions=len(files),
        records=records,
        written=records - sum(present[file.place] for file in files),
    )


def _clusters(source: ArchiveSource) -> int:
    configured, _ = configuration(source)
    if configured.run != source.run:
        raise ConfigurationError(
            f"The manifest of {source.folder} has run {source.run!r}, and its log has run {configured.run!r}. A run is "
            "restored under its own name: correct it in the manifest."
        )
    return configured.policy.clusters


def _require_whole(source: ArchiveSource, clusters: int) -> None:
    """Raise ConfigurationError for an archive with missing offsets, or without exactly the run's partitions."""
    files = {(topic_name(source.run, file.topic), file.partition): file for file in source.manifest.files}
    topics = wanted_topics(source.run, clusters)
    wanted = {(topic.name, n) for topic in topics for n in range(topic.partitions)}
    may_lack = {(topic.name, 0) for topic in topics if topic.optional}
    if wrong := sorted((files.keys() ^ wanted) - (may_lack - files.keys())):
        raise ConfigurationError(
            f"{source.folder} does not have exactly the partitions of a run with {clusters} clusters; the first extra "
            f"or missing one is {wrong[0][0]}/{wrong[0][1]}. Archive the run again with this version."
        )
    for file in files.values():
        if file.start or file.records != file.end:
            raise ConfigurationError(
                f"{file.name} has {file.records} records of offsets {file.start} to {file.end}: some were gone from "
                "the log when it was archived, so its offsets cannot be restored, and the run would mean "
                "something else. Read it as it is, with --from-files."
            )
    if wrong_tables := [file.name for file in source.manifest.tables if file.place not in {(t, 0) for t in TABLES}]:
        raise ConfigurationError(f"{wrong_tables[0]} is not a table of the worker. Archive the run again.")


def _make_tables(settings: Settings, source: ArchiveSource) -> None:
    existing = existing_tables(settings, source.run)
    names = [topic_name(source.run, file.topic) for file in source.manifest.tables if file.topic not in existing]
    if not names:
        return
    as_faust_does = {"cleanup.policy": "compact"}
    options = {"num_partitions": 1, "replication_factor": settings.replication_factor, "configs": as_faust_does}
    with administrator(settings) as admin:
        admin.create_topics(dict.fromkeys(names, options))
        admin.wait_for_topics(names)


class _Restoring:
    """Compares an archive with the cluster, and writes what the cluster lacks."""

    def __init__(self, settings: Settings, source: ArchiveSource, show: Show) -> None:
        self._settings = settings
        self._source = source
        self._show = show

    def compare(self, files: Sequence[ArchiveFile]) -> dict[Partition, int]:
        """The number of each file's records on the cluster. Raises RunError when they are not a prefix of the file."""
        topics = {file.topic for file in files}
        present: dict[Partition, int] = {}
        done = 0
        with self._source.open(topics) as archive, KafkaSource(self._settings, self._source.run).open(topics) as log:
            total = sum(log.ends().values())
            for place in (file.place for file in files):
                count = 0
                while (record := log.next(*place)) is not None:
                    self._require_same(record, archive.next(*place))
                    count += 1
                    if count % _EVERY == 0:
                        self._show("comparing", done + count, total)
                if place[0] not in TABLES and log.ends()[place] != count:
                    raise RunError(self._other(f"{place[0]}/{place[1]} has lost {log.ends()[place] - count} records"))
                present[place] = count
                done += count
            self._show("comparing", total, total)
        return present

    def complete(self, files: Sequence[ArchiveFile], present: Mapping[Partition, int]) -> None:
        """Write what each partition lacks, then read everything back."""
        try:
            asyncio.run(self._write(files, present))
        except KafkaError as error:
            raise refusal(self._settings, error, Right("Write")) or BrokerError(
                f"Writing run {self._source.run!r} to {self._settings.bootstrap_servers} failed ({error!r}). Restore "
                f"again when the cluster works: it resumes where it stopped. {status_hint(self._settings)}"
            ) from error
        found = self.compare(files)
        for file in files:
            if found[file.place] != file.records:
                raise BrokerError(
                    f"{file.topic}/{file.partition} has {found[file.place]} of {file.records} records after all were "
                    "confirmed. Set the cluster to keep records forever (retention), and restore again."
                )

    async def _write(self, files: Sequence[ArchiveFile], present: Mapping[Partition, int]) -> None:
        missing = [file for file in files if present[file.place] < file.records]
        total = sum(file.records - present[file.place] for file in missing)
        if not missing:
            return
        done = 0
        async with bulk_producer(self._settings, f"sedi-{self._source.run}-restore") as producer:
            with self._source.open({file.topic for file in missing}) as archive:
                for file in missing:
                    records = iter(partial(archive.next, *file.place), None)
                    contents = map(_written, islice(records, present[file.place], None))
                    pending: deque[Awaitable[Any]] = deque()
                    for batch in record_batches(producer, contents):
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
            f"Run {self._source.run!r} on {self._settings.bootstrap_servers} is not the one in {self._source.folder}: "
            f"{what}. Restore to another cluster, or delete the topics {topic_name(self._source.run, '*')} there "
            "first; and let nobody write to the run meanwhile."
        )


def _written(record: Record) -> Content:
    return record.timestamp_ms, record.key, record.value, record.headers


def _content(record: Record) -> tuple[object, ...]:
    return record.timestamp_ms, record.key, record.value, record.headers
