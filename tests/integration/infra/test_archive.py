"""An archived and restored run is the same run, and its worker resumes."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from consumers.export.run import ExportOptions, export
from consumers.replay.parallel import audit
from infra.cluster.admin import administrator
from infra.cluster.topics import apply
from infra.digest import sha256_of
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.archive import MANIFEST, ArchiveSource
from infra.log.archiving import TABLES, existing_tables, write_archive
from infra.log.reader import LogReader
from infra.log.record import Record
from infra.log.record_batches import Content
from infra.log.restoring import restore_archive
from infra.log.source import TOPICS, KafkaSource, dead_letter_topics
from infra.log.writer import LogWriter
from infra.settings import Settings, environment_of
from schemas import ids
from schemas.errors import ConfigurationError, RunError
from schemas.events import InstructionsRejected
from schemas.policy import policy_for
from schemas.topics import topic_name
from tests.integration.worker.driver import Rig, first_of_each, generation, seeds, undisturbed
from tests.unit.consumers.document_run import documents_run

ALL = (*TOPICS, *dead_letter_topics())
ODD = [
    (None, None, [], 1_700_000_000_003),
    (b"", b"\xff\x00", [("h", None), ("h", b"\xfe"), ("h", b"")], 1_700_000_000_001),
    (b"k", None, [("", b"1"), ("", b"1")], 1_700_000_000_002),
    (None, b"", [], 1_700_000_000_000),
]


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, policy_for(batch_size=4, refit_from=16), tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


def write_generations(rig: Rig, start: int, end: int) -> None:
    with rig.writer() as writer:
        for number in range(start, end):
            id = ids.generation_id("g0", number)
            writer.send(generation(number, seeds()), key=id, id=id)


def write_odd(rig: Rig, topic: str) -> None:
    """Records that Kafka accepts and our own programs never write."""

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=rig.settings.bootstrap_servers) as producer:
            batch = producer.create_batch()
            for key, value, headers, timestamp in ODD:
                assert batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is not None
            await (await producer.send_batch(batch, topic_name(rig.run, topic), partition=0))

    asyncio.run(write())


def delete_topics(settings: Settings, run: str) -> None:
    with administrator(settings) as admin:
        names = [name for name in admin.list_topics() if name.startswith(topic_name(run, ""))]
        admin.delete_topics(names)
        # A broker takes a moment to forget; a topic is made anew only after that.
        while set(names) & set(admin.list_topics()):
            time.sleep(0.05)


def log_of(settings: Settings, run: str, topics: tuple[str, ...] = ALL) -> list[tuple[object, ...]]:
    with LogReader(settings, run, topics) as reader:
        found = sorted(reader.read_to_end(), key=lambda record: (record.place, record.offset))
    return [(r.place, r.offset, r.timestamp_ms, r.key, r.value, r.headers) for r in found]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir()}


@pytest.mark.timeout(180)
def test_a_restored_run_is_the_same_and_its_worker_goes_on_after_the_last_decision(rig: Rig, tmp_path: Path) -> None:
    settings, run = rig.settings, rig.run
    write_generations(rig, 0, 60)
    rig.start_worker()
    rig.wait_decided(59)
    rig.stop_workers()
    write_odd(rig, "calls.dlq")
    before, tables_before = log_of(settings, run), log_of(settings, run, TABLES)
    assert tables_before

    write_archive(settings, run, tmp_path / "first")
    write_archive(settings, run, tmp_path / "again")
    delete_topics(settings, run)
    restored = restore_archive(settings, tmp_path / "first")

    assert digests(tmp_path / "again") == digests(tmp_path / "first")
    assert (restored.records, restored.written) == (len(before), len(before))
    assert log_of(settings, run) == before
    assert log_of(settings, run, TABLES) == tables_before
    assert [entry[2:] for entry in before if entry[0] == ("calls.dlq", 0)] == [
        (timestamp, key, value, tuple(headers)) for key, value, headers, timestamp in ODD
    ]
    write_archive(settings, run, tmp_path / "back")
    assert digests(tmp_path / "back") == digests(tmp_path / "first")

    write_generations(rig, 60, 90)
    rig.start_worker()
    rig.wait_decided(89)
    assert "active from offset 60 of generated" in rig.log_of(1)
    _, kept, rejected = undisturbed(rig)
    records = rig.records("kept", "rejected")
    verdicts = [r.event for r in records if isinstance(r.event, InstructionsRejected)]
    assert [verdict.generated_offset for verdict in verdicts] == list(range(90))
    assert first_of_each(records, "rejected") == rejected
    assert first_of_each(records, "kept") == kept
    rig.stop_workers()

    with pytest.raises(RunError, match="goes on at"):
        restore_archive(settings, tmp_path / "first")


def test_documents_their_withdrawal_and_the_segments_of_generations_are_restored(
    broker: TemporaryBroker, run: str, tmp_path: Path
) -> None:
    settings, story = broker.settings, documents_run(run)
    story.withdraw(story.document(2))
    apply(settings, run, story.policy.clusters)
    with LogWriter(settings, run, "test") as writer:
        story.write(writer)
    before, sound = log_of(settings, run), audit(KafkaSource(settings, run))
    assert (sound.divergences, sound.checked["documents"], sound.checked["segments"]) == (0, 4, 3), sound.found

    write_archive(settings, run, tmp_path / "first", compress=True)
    delete_topics(settings, run)
    assert restore_archive(settings, tmp_path / "first").written == len(before)
    assert log_of(settings, run) == before
    write_archive(settings, run, tmp_path / "back", compress=True)
    assert digests(tmp_path / "back") == digests(tmp_path / "first")

    restored = audit(KafkaSource(settings, run))
    assert (restored.checked, restored.digests) == (sound.checked, sound.digests)
    exported = export(KafkaSource(settings, run), tmp_path / "export", ExportOptions())
    assert (exported.rows, exported.withdrawn.rows, exported.withdrawn.through) == (1, 1, 3)
    assert restore_archive(settings, tmp_path / "first").written == 0


def test_a_restore_that_was_interrupted_goes_on_and_one_over_another_log_is_refused(rig: Rig, tmp_path: Path) -> None:
    settings, run = rig.settings, rig.run
    write_generations(rig, 0, 10)
    write_archive(settings, run, tmp_path / "early", compress=True)
    write_generations(rig, 10, 30)
    write_archive(settings, run, tmp_path / "late", compress=True)
    assert not existing_tables(settings, run)
    delete_topics(settings, run)

    # an earlier restore that came as far as this
    assert restore_archive(settings, tmp_path / "early").written == 12
    restored = restore_archive(settings, tmp_path / "late")
    assert (restored.records, restored.written) == (32, 20)
    assert restore_archive(settings, tmp_path / "late").written == 0

    def interrupted(what: str, done: int, total: int) -> None:
        if (what, done) == ("writing", total):
            raise KeyboardInterrupt

    delete_topics(settings, run)
    with pytest.raises(KeyboardInterrupt):
        restore_archive(settings, tmp_path / "late", interrupted)
    assert len(log_of(settings, run, ("generated",))) == 30
    assert not log_of(settings, run, ("run",))  # so that nothing starts on half a run
    assert restore_archive(settings, tmp_path / "late").written == 2
    write_archive(settings, run, tmp_path / "back", compress=True)
    assert digests(tmp_path / "back") == digests(tmp_path / "late")

    delete_topics(settings, run)
    rig.configure()  # the same run started anew: the same events at other times
    began = log_of(settings, run)
    with pytest.raises(RunError, match=r"run/0 at offset 0 is another record.*Restore to another cluster"):
        restore_archive(settings, tmp_path / "late")
    assert log_of(settings, run) == began


def test_a_damaged_archive_is_refused_before_the_cluster_is_touched(rig: Rig, tmp_path: Path) -> None:
    settings, run = rig.settings, rig.run
    write_generations(rig, 0, 3)
    folder = tmp_path / "archive"
    write_archive(settings, run, folder)
    with pytest.raises(ConfigurationError, match="never overwrites"):
        write_archive(settings, run, folder)
    delete_topics(settings, run)
    path = folder / "generated-0.jsonl"
    whole, promised = path.read_bytes(), ArchiveSource(folder).manifest

    path.write_bytes(whole.replace(b"thing", b"think"))
    with pytest.raises(ConfigurationError, match="damaged"):
        restore_archive(settings, folder)

    lines = whole.splitlines(keepends=True)
    for left, start in (([lines[0], lines[2]], 0), (lines[1:], 1)):  # a hole, and a beginning that is gone
        path.write_bytes(b"".join(left))
        files = [
            msgspec.structs.replace(f, records=2, start=start, sha256=sha256_of(path)) if f.topic == "generated" else f
            for f in promised.files
        ]
        edited = msgspec.structs.replace(promised, files=tuple(files))
        (folder / MANIFEST).write_bytes(msgspec.json.encode(edited))
        assert len(list(ArchiveSource(folder).open(["generated"]).rest())) == 2
        with pytest.raises(ConfigurationError, match="gone from the log"):
            restore_archive(settings, folder)

    with administrator(settings) as admin:
        assert not [name for name in admin.list_topics() if name.startswith(topic_name(run, ""))]


def test_a_cluster_that_does_not_hold_what_was_written_is_found_out(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_generations(rig, 0, 3)
    write_archive(rig.settings, rig.run, tmp_path / "archive")
    delete_topics(rig.settings, rig.run)

    def at_another_time(record: Record) -> Content:
        return 1, record.key, record.value, record.headers

    monkeypatch.setattr("infra.log.restoring._written", at_another_time)
    with pytest.raises(RunError, match="generated/0 at offset 0 is another record"):
        restore_archive(rig.settings, tmp_path / "archive")
    assert not log_of(rig.settings, rig.run, ("run",))


def test_an_archive_that_fails_leaves_nothing_and_the_commands_say_what_was_done(rig: Rig, tmp_path: Path) -> None:
    write_generations(rig, 0, 3)

    def sedi(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "sedi", *map(str, arguments)]
        environment = {**environment_of(rig.settings), "PATH": ""}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def interrupted(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_archive(rig.settings, rig.run, tmp_path / "archives" / "one", show=interrupted)
    assert not list((tmp_path / "archives").iterdir())

    folder = tmp_path / "archives" / "two"
    made = sedi("archive", folder, "--run", rig.run, "--gzip", "--json")
    assert made.returncode == 0, made.stderr
    restored = msgspec.json.decode(made.stdout)
    assert restored["records"] == 5
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        *(f"{topic}-{n}.jsonl.gz" for topic in ("answered", "kept") for n in range(4)),
        *(f"{topic}-0.jsonl.gz" for topic in ALL if topic not in ("answered", "kept")),
    }
    again = sedi("archive", folder, "--run", rig.run)
    assert again.returncode == 2 and "never overwrites" in again.stderr
    back = sedi("restore", folder)
    assert back.returncode == 0 and "5 of them were there already" in back.stdout, back.stderr
