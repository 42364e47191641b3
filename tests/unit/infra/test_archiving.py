"""An archive's end offsets are fixed effects first, and every partition has its file."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from aiokafka import TopicPartition

import infra.log.archiving
import infra.log.source
from infra.log.archive import ArchiveSource
from infra.log.archiving import TABLES, write_archive
from infra.log.source import TOPICS, dead_letter_topics
from infra.settings import Settings

ASKED: list[str] = []


class Cluster:
    """A LogReader of a run whose topics are empty, except `kept`, which has two partitions."""

    def __init__(self, settings: Settings, run: str, topics: Iterable[str], component: str) -> None:
        self._places = [(topic, 0) for topic in topics] + [("kept", 1)]
        ASKED.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def starts(self) -> dict[tuple[str, int], int]:
        return {place: 4 if place == ("kept", 1) else 5 for place in self._places}

    def ends(self, topics: list[str]) -> dict[tuple[str, int], int]:
        ASKED.extend(topics)
        return {place: 5 + (place == ("kept", 1)) for place in self._places if place[0] in topics}


class Consumer:
    """aiokafka's consumer of that run: kept/1 has a record at offset 4 and none at 5."""

    def __init__(self, **_: object) -> None:
        self._given = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert [(partition.topic, partition.partition) for partition in partitions] == [("sedi.r.kept", 1)]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert offset == 4

    async def position(self, partition: TopicPartition) -> int:
        return 6 if self._given else 4

    async def getmany(self, partition: TopicPartition, **_: object) -> dict[TopicPartition, list[Any]]:
        self._given = True
        return {partition: [SimpleNamespace(offset=4, timestamp=0, key=b"k", value=b"v", headers=())]}


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ArchiveSource:
    monkeypatch.setattr(infra.log.source, "LogReader", Cluster)
    monkeypatch.setattr(infra.log.source, "AIOKafkaConsumer", Consumer)
    monkeypatch.setattr(infra.log.archiving, "existing_tables", lambda settings, run: TABLES)
    write_archive(Settings(), "r", tmp_path / "made" / "archive")
    return ArchiveSource(tmp_path / "made" / "archive")


def test_the_ends_are_asked_for_effects_first(archive: ArchiveSource) -> None:
    """Otherwise the kept table may mark a generation as decided whose verdict is not in the archive."""
    assert [*TABLES, *dead_letter_topics(), *reversed(TOPICS)] == ASKED


def test_every_partition_has_a_file_and_the_tables_are_not_among_the_topics(archive: ArchiveSource) -> None:
    archive.verify()
    topics = {("kept", 1), *((topic, 0) for topic in (*TOPICS, *dead_letter_topics()))}
    assert {file.place for file in archive.manifest.files} == topics
    assert {file.topic for file in archive.manifest.tables} == set(TABLES)
    names = {file.name for file in (*archive.manifest.files, *archive.manifest.tables)}
    assert {"kept-1.jsonl", "kept.dlq-0.jsonl", "worker-kept-changelog-0.jsonl"} <= names
    assert {path.name for path in archive.folder.iterdir()} == names | {"manifest.json"}
    assert [path.name for path in archive.folder.parent.iterdir()] == ["archive"]


def test_an_offset_that_is_missing_on_the_log_is_missing_in_the_file(archive: ArchiveSource) -> None:
    (kept,) = (file for file in archive.manifest.files if file.place == ("kept", 1))
    assert (kept.start, kept.end, kept.records) == (4, 6, 1)
    with archive.open(["kept"]) as reading:
        assert [record.offset for record in reading.rest()] == [4]
