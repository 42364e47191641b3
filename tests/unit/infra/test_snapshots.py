"""A snapshot is used whole, for what it was made for, with the log it was made from; and it never gets in the way."""

import os
import pickle
import time
from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.log.record import Partition, Record
from infra.settings import Settings
from infra.snapshots.coverage import Coverage, Covered, digest_of, goes_on, unread
from infra.snapshots.files import SnapshotFile, is_due
from infra.snapshots.following import LogFollower, StateForm, reading_back
from infra.snapshots.own_data import from_bytes, program_digest, to_bytes
from schemas.errors import SchemaError
from schemas.events import Usage
from streams.core.lanes import LaneNumbers
from tests.unit.consumers.recorded_run import MemorySource

COVERED = {("calls", 0): Covered("calls", 0, 0, 7, "aa"), ("kept", 3): Covered("kept", 3, 2, 5, "bb")}


def record(offset: int, topic: str = "calls", value: bytes = b"{}", timestamp_ms: int = 1) -> Record:
    return Record(topic, 0, offset, timestamp_ms, b"k", value, [("h", b"v")])


def coverage_of(*records: Record, starts: Mapping[Partition, int] | None = None) -> Coverage:
    coverage = Coverage()
    coverage.begin(starts or {})
    for each in records:
        coverage.take(each)
    return coverage


def test_a_snapshot_comes_back_as_it_was_written_and_alone(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "run" / "fold.snapshot", "this")
    assert file.read() is None
    assert file.write(COVERED, b"the\nstate")
    found = file.read()
    assert found is not None
    assert (found.covered, found.state) == (COVERED, b"the\nstate")
    assert [path.name for path in file.path.parent.iterdir()] == ["fold.snapshot"]


def test_one_that_is_cut_off_changed_or_made_for_something_else_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "fold.snapshot"
    SnapshotFile(path, "this").write(COVERED, b"the state")
    whole = path.read_bytes()
    assert SnapshotFile(path, "that").read() is None
    for spoilt in (
        *(whole[:end] for end in (0, 1, 40, whole.index(b"\n") + 1, len(whole) - 1)),
        whole + b"x",
        whole.replace(b"the state", b"the stale"),
        whole.replace(b'"last":7', b'"last":6'),
        b"\xff\n" * 9,
    ):
        path.write_bytes(spoilt)
        assert SnapshotFile(path, "this").read() is None
    path.write_bytes(whole)
    assert SnapshotFile(path, "this").read() is not None


def test_a_folder_that_cannot_be_written_is_said_once_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    file = SnapshotFile(tmp_path / "fold.snapshot", "this", said.append)
    assert file.write(COVERED, b"old")

    def full(self: Path, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert [file.write(COVERED, b"new"), file.write(COVERED, b"new")] == [False, False]
    assert len(said) == 1
    assert "No space left" in said[0]
    found = file.read()
    assert found is not None
    assert found.state == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["fold.snapshot"]
    (tmp_path / "a file").touch()
    assert not SnapshotFile(tmp_path / "a file" / "fold.snapshot", "this", said.append).write(COVERED, b"new")


def test_what_a_killed_process_left_is_removed_later_and_what_another_writes_is_not(tmp_path: Path) -> None:
    left, beside = tmp_path / "fold.snapshot.1.new", tmp_path / "fold.snapshot.2.new"
    for path in (left, beside):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - 7_200,) * 2)
    SnapshotFile(tmp_path / "fold.snapshot", "this").write(COVERED, b"state")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold.snapshot", "fold.snapshot.2.new"]


def test_threads_of_a_process_that_write_at_once_do_not_take_each_others_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, replace, others = SnapshotFile(tmp_path / "fold.snapshot", "this"), Path.replace, []

    def beside(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        with ThreadPoolExecutor(1) as thread:
            others.append(thread.submit(file.write, COVERED, b"of another thread").result())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", beside)
    assert file.write(COVERED, b"own") and others == [True]
    found = file.read()
    assert found is not None and found.state == b"own"


class Reader:
    """Stands in for a LogReader: gives a record once, and then a later one."""

    def __init__(self, *_: object) -> None:
        self._left = [[record(0)], [record(1)]]

    def starts(self) -> dict[Partition, int]:
        return {("calls", 0): 0}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        pass

    def read_to_end(self) -> list[Record]:
        return self._left.pop(0)

    def close(self) -> None:
        pass


def test_a_state_that_took_half_a_record_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.snapshots.following.LogReader", Reader)
    monkeypatch.setattr("infra.snapshots.following.KafkaSource", lambda *_: MemorySource([record(0, "generated")]))

    def apply(state: list[int], one: Record) -> None:
        state.append(one.offset)
        if one.offset == 1:
            raise MemoryError

    file = SnapshotFile(tmp_path / "fold.snapshot", "this")
    form = StateForm[list[int]](begin=list, apply=apply, to_bytes=to_bytes, from_bytes=reading_back(list))
    follower = LogFollower(Settings(), "demo", ["calls"], "test", form, file)
    follower.refresh()
    follower.keep(now=True)
    with pytest.raises(MemoryError):
        follower.refresh()
    follower.keep(now=True)
    found = file.read()
    assert found is not None and found.covered["calls", 0].last == 0
    assert form.from_bytes(found.state) == [0]


def test_a_log_is_gone_on_with_after_what_is_covered_and_only_if_it_is_the_same() -> None:
    log = [record(0), record(1), record(2), record(0, "generated")]
    covered = tuple(coverage_of(*log[:2]).now().values())
    source = MemorySource(log)
    with source.open(["calls", "generated"]) as reading:
        assert goes_on(source, reading, covered)
        coverage = Coverage({one.place: one for one in covered})
        assert sorted(each.offset for each in unread(reading, coverage)) == [0, 2]
    assert {place: one.last for place, one in coverage.now().items()} == {("calls", 0): 2, ("generated", 0): 0}
    assert coverage.records == 4

    others = {
        "shorter": log[:1],
        "with another value": [record(0), record(1, value=b"[]"), record(2)],
        "made again, a second later": [record(0), record(1, timestamp_ms=1_001), record(2)],
        "without the topic": [record(0, "generated")],
    }
    for name, records in others.items():
        other = MemorySource(records)
        with other.open({each.topic for each in records}) as reading:
            assert not goes_on(other, reading, covered), name
    with source.open(["calls"]) as reading:
        assert not goes_on(source, reading, [Covered("calls", 0, 1, 1, digest_of(log[1]))]), "begins elsewhere"


def test_one_is_written_when_it_saves_more_than_it_takes() -> None:
    coverage = coverage_of(*(record(offset) for offset in range(4_999)))
    assert not is_due(coverage)
    coverage.take(record(4_999))
    assert is_due(coverage)
    coverage.fresh = 0
    for offset in range(5_000, 205_000):
        coverage.take(record(offset))
    coverage.fresh = 5_001
    assert not is_due(coverage), "a fortieth of it is new"


def test_reading_a_state_back_makes_only_own_data_of_the_modules_that_are_named(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    lanes = LaneNumbers({"main": 3}, {"main": [(0, 1)]})
    state = {"a": (lanes, Usage(prompt_tokens=1, completion_tokens=2)), "b": [Counter("ab"), deque([1]), {2}]}
    assert from_bytes(to_bytes(state), dict, ()) == state
    for raw in (to_bytes(lanes), to_bytes({"x": record(1)}), pickle.dumps(Evil()), pickle.dumps(Path), b"", b"spoilt"):
        with pytest.raises(SchemaError, match="no dict"):
            from_bytes(raw, dict, ())
    assert not (tmp_path / "ran").exists()
    with pytest.raises(SchemaError):
        from_bytes(to_bytes(Coverage()), Coverage, ())
    assert from_bytes(to_bytes(Coverage()), Coverage, ("infra.snapshots.coverage",)) == Coverage()


def test_the_digest_of_a_program_is_of_the_named_code() -> None:
    assert program_digest("consumers/folds") == program_digest("consumers/folds")
    assert program_digest("consumers/folds") != program_digest("consumers/summary.py")
