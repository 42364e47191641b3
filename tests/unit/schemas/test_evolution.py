"""A log that holds two versions of its events is read as if it held the newer one only, by whoever reads it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from consumers.explain.story import explain
from consumers.export.run import ExportOptions, export
from consumers.replay import audit, effect_stream
from consumers.report import report
from infra.log.archive import ArchiveSource
from infra.log.source import TOPICS
from schemas import registry, upcasting
from schemas.events import Event, InstructionKept, InstructionsGenerated, InstructionsRejected, ReplaceSeeds
from tests.golden import HERE
from tests.golden.edits import Json, Log

GOLDEN = HERE / "interrupted"  # repeats stand on it, of either version


def _renamed(old: str, new: str) -> tuple[Callable[[Json], Json], Callable[[Json], Json]]:
    """What lifts a field's old name to the new one, and what would have been written when it still had the old one."""

    def lift(data: Json) -> Json:
        return {new if name == old else name: value for name, value in data.items()}

    def lower(data: Json) -> Json:
        return {old if name == new else name: value for name, value in data.items()}

    return lift, lower


def _counted(data: Json) -> Json:
    """Version 1 left to its readers how many were kept."""
    return data | {"kept": data["generated"] - len(data["rejections"])}


def _uncounted(data: Json) -> Json:
    return {name: value for name, value in data.items() if name != "kept"}


CHANGES: dict[type[Event], tuple[Callable[[Json], Json], Callable[[Json], Json]]] = {
    InstructionKept: _renamed("text", "instruction"),
    InstructionsGenerated: _renamed("seeds", "seed_ids"),
    InstructionsRejected: (_counted, _uncounted),
    ReplaceSeeds: _renamed("answers", "training_offset"),
}
"""Events that have a second version here: their upcaster, and how version 1 was written."""


@pytest.fixture
def second_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events as they are become version 2, with upcasters from a version 1."""
    for cls, (lift, _) in CHANGES.items():
        name = cls.__name__
        spec = registry._spec(cls, registry.SPECS[name].topic, version=2)
        monkeypatch.setitem(registry.SPECS, name, spec)
        monkeypatch.setitem(registry._BY_CLASS, cls, spec)
        monkeypatch.setitem(upcasting.UPCASTERS, (name, 1), lift)
        if cls in effect_stream._TYPES:
            monkeypatch.setitem(effect_stream._TYPES, cls, ("ce_type", f"sedi.{name}.v2".encode()))


def rewritten(folder: Path, old: Callable[[int], bool]) -> ArchiveSource:
    """The golden log with its events of version 2, but for those at `old` offsets."""
    log = Log(GOLDEN)
    for file in log.manifest.files:
        for offset, value in enumerate(log.values(file.topic, file.partition)):
            for cls, (_, lower) in CHANGES.items():
                if registry.SPECS[cls.__name__].topic != file.topic:
                    continue
                version = 1 if old(offset) else 2
                log.retype(file.topic, offset, f"sedi.{cls.__name__}.v{version}", file.partition)
                if version == 1:
                    text = msgspec.json.encode(lower(value)).decode()
                    log.overwrite(file.topic, offset, text, file.partition)
    return log.write(folder)


@pytest.fixture
def mixed(second_versions: None, tmp_path: Path) -> ArchiveSource:
    return rewritten(tmp_path / "mixed", lambda offset: offset % 2 == 0)


@pytest.fixture
def new(second_versions: None, tmp_path: Path) -> ArchiveSource:
    return rewritten(tmp_path / "new", lambda offset: False)


def test_the_mixed_log_holds_both_versions_of_each_and_they_read_the_same(mixed: ArchiveSource, new: ArchiveSource):
    versions: dict[str, set[int]] = {}
    with mixed.open(TOPICS) as reading, new.open(TOPICS) as wanted:
        for record, other in zip(reading.rest(), wanted.rest(), strict=True):
            assert record.decoded is not None and other.decoded is not None, record.error or other.error
            assert record.event == other.event
            versions.setdefault(type(record.event).__name__, set()).add(record.decoded.version)
    assert {name for name, found in versions.items() if found == {1, 2}} == {cls.__name__ for cls in CHANGES}


def test_a_log_of_both_versions_is_decided_again_without_a_difference(mixed: ArchiveSource, new: ArchiveSource):
    found, wanted = audit(mixed), audit(new)
    assert found.divergences == 0, found.first
    assert wanted.divergences == 0 and wanted.repeats
    names = ("checked", "repeats", "repeated", "unreadable", "digests", "undecided", "pending")
    assert {name: getattr(found, name) for name in names} == {name: getattr(wanted, name) for name in names}


def test_a_repeat_in_a_newer_version_is_still_a_repeat(second_versions: None, tmp_path: Path):
    before, after = rewritten(tmp_path / "old", lambda _: True), rewritten(tmp_path / "new", lambda _: False)
    both = Log(before.folder)
    last = len(both.values("rejected"))
    both.copy("rejected", last - 1, last)
    newer = Log(after.folder).value("rejected", last - 1)
    both.overwrite("rejected", last, msgspec.json.encode(newer).decode())
    both.retype("rejected", last, "sedi.InstructionsRejected.v2")
    found = audit(both.write(tmp_path / "both"))
    assert found.divergences == 0, found.first
    assert found.repeats["rejected"] == audit(before).repeats["rejected"] + 1


def test_the_report_of_both_versions_is_that_of_one(mixed: ArchiveSource, new: ArchiveSource):
    found, wanted = report(mixed, seeds=True), report(new, seeds=True)
    assert found == wanted
    assert found.accounted and found.kept > 0


def test_what_is_explained_from_both_versions_is_the_same(mixed: ArchiveSource, new: ArchiveSource):
    rows = [Log(new.folder).value("kept", offset) for offset in (0, 1)]
    for id in (*(row["id"] for row in rows), "s0"):
        found, wanted = explain(mixed, id), explain(new, id)
        assert found == wanted
    assert explain(mixed, rows[0]["id"]).instruction is not None


def test_the_same_data_is_exported_from_both_versions(mixed: ArchiveSource, new: ArchiveSource, tmp_path: Path):
    for source, name in ((mixed, "of-mixed"), (new, "of-new")):
        export(source, tmp_path / name, ExportOptions(formats=("alpaca", "sharegpt")))
    files = sorted(path.name for path in (tmp_path / "of-new").iterdir() if "manifest" not in path.name)
    assert files
    for file in files:
        assert (tmp_path / "of-mixed" / file).read_bytes() == (tmp_path / "of-new" / file).read_bytes()


def test_a_version_newer_than_the_program_is_unreadable_and_nobody_stumbles(tmp_path: Path):
    log = Log(GOLDEN)
    log.retype("kept", 0, "sedi.InstructionKept.v2")
    log.retype("calls", 0, "sedi.CallStarted.v999999")
    source = log.write(tmp_path / "newer")
    with source.open(("kept",)) as reading:
        first = reading.next("kept", 0)
    assert first is not None and first.event is None
    assert "v2 is not known here (this program reads 1 to 1). Update this program." in str(first.error)
    found = audit(source)
    assert found.unreadable == {"kept": 1, "calls": 1}
    assert found.not_in_dead_letters == (("calls", 0, 0), ("kept", 0, 0))
    assert report(source).unreadable == {"kept": 1, "calls": 1}


def test_a_version_without_an_upcaster_is_unreadable(second_versions: None, tmp_path: Path, monkeypatch):
    source = rewritten(tmp_path / "mixed", lambda offset: offset == 0)
    monkeypatch.delitem(upcasting.UPCASTERS, ("ReplaceSeeds", 1))
    with source.open(("seed-commands",)) as reading:
        first, second = (reading.next("seed-commands", 0) for _ in range(2))
    assert first is not None and "There is no upcaster for ReplaceSeeds from v1 to v2" in str(first.error)
    assert second is not None and second.event is not None
