"""Golden logs decide the same for ever, and what was made bad on purpose in one is found by the audit, and named."""

import json
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from consumers.replay import Audit, AuditExtent, audit
from consumers.replay.findings import Kind
from consumers.replay.parallel import merge, run
from infra.log.archive import ArchiveSource
from sedi.main import main
from sedi.options import ExitCode
from tests.golden import HERE, NAMES
from tests.golden.edits import Log
from tests.golden.faults import FAULTS, Fault, Place
from tests.unit.consumers.test_replay_documents import FAULTS as DOCUMENT_FAULTS

FOUND = json.loads((HERE / "found.json").read_text(encoding="utf-8"))


@cache
def sound(name: str) -> Audit:
    return audit(ArchiveSource(HERE / name))


def in_two_parts(source: ArchiveSource, middle: int) -> Audit:
    """As two processes would do it: one decides the first half, the other the second half and what is left."""
    first = run(source, AuditExtent(to_offset=middle - 1), conducting=False)
    second = run(source, AuditExtent(from_offset=middle), conducting=True)
    return merge(first.audit(0.0), second.audit(0.0))


def told(found: Audit) -> dict[str, object]:
    """What an audit says of a log, without how it went about it: which process found what, in which state."""
    divergences = sorted((d.kind, d.topic, d.partition, d.offset, d.generated_offset, d.what) for d in found.found)
    return {
        "divergences": divergences,
        "repeated": sorted((r.topic, r.partition, r.offset) for r in found.repeated),
        "not_read": sorted((u.topic, u.partition, u.offset) for u in found.not_read),
        **{
            name: getattr(found, name)
            for name in ("by_kind", "checked", "undecided", "pending", "repeats", "unreadable", "digests")
        },
    }


def places(found: Audit, kind: str) -> set[Place]:
    """Where repeats, unreadable records, or those of them that no reader put aside, were found."""
    match kind:
        case "repeat":
            return {(repeat.topic, repeat.partition, repeat.offset) for repeat in found.repeated}
        case "unreadable":
            return {(record.topic, record.partition, record.offset) for record in found.not_read}
        case _:
            return set(found.not_in_dead_letters)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_log_is_as_it_was_written(name):
    ArchiveSource(HERE / name).verify()


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_log_is_decided_as_it_was_when_it_was_recorded(name):
    found = sound(name)
    assert found.divergences == 0, found.first
    assert found.undecided == found.pending == 0
    assert not found.not_in_dead_letters
    expected = FOUND[name]
    assert {key: msgspec.to_builtins(getattr(found, key)) for key in expected} == expected


def test_the_golden_logs_hold_what_they_are_for():
    undisturbed, interrupted, bad = (sound(name) for name in NAMES)
    assert undisturbed.checked["windows"] >= 4 and undisturbed.checked["classifiers"] >= 2
    assert not undisturbed.repeats and not undisturbed.unreadable
    assert {"kept", "rejected"} <= interrupted.repeats.keys() and not interrupted.unreadable
    assert bad.unreadable.keys() == {"calls", "generated", "kept", "rejected", "training-log", "seed-commands"}
    log = Log(HERE / "undisturbed")
    commands, generations = log.values("seed-commands"), log.values("generated")
    new = {each["seed"]["id"] for command in commands for each in command["replacements"]}
    assert sum(1 for command in commands if command["replacements"]) >= 2
    assert any(new.intersection(generation["seed_ids"]) for generation in generations)
    reasons = {rejection["reason"] for word in log.values("rejected") for rejection in word["rejections"]}
    assert "similar" in reasons and len(reasons) >= 4


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_what_was_made_bad_is_found_at_its_place_and_told_once(fault: Fault, tmp_path: Path):
    log, good = Log(HERE / fault.golden), sound(fault.golden)
    fault.edit(log)
    source = log.write(tmp_path / "bad")
    found = audit(source)

    assert found.by_kind == fault.total, found.found
    if fault.of_decisions:
        assert found.first is not None
        assert (found.first.kind, (found.first.topic, found.first.partition, found.first.offset)) == (
            fault.kind,
            fault.place,
        )
    for kind in ("repeat", "unreadable"):
        new = places(found, kind) - places(good, kind)
        assert new == ({fault.place} if fault.kind == kind else set()), kind
    put_aside = {fault.place} if fault.kind in ("unreadable", "not put aside") else set()
    assert set(found.not_in_dead_letters) == put_aside
    assert told(in_two_parts(source, middle=FOUND[fault.golden]["through_offset"] // 2)) == told(found)


def test_every_kind_of_divergence_is_among_the_faults():
    """The golden runs have no documents and steer no requests; such runs are made where their faults are."""
    of_documents = {kind for _, kinds, _ in DOCUMENT_FAULTS.values() for kind in kinds}
    assert {kind for fault in FAULTS for kind in fault.total} | of_documents | {"steering"} == set(get_args(Kind))


def test_the_command_line_ends_with_1_and_names_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["replay", "--from-files", str(HERE / "undisturbed"), "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["divergences"] == 0
    fault = next(fault for fault in FAULTS if fault.name == "the reason of a rejection is another")
    log = Log(HERE / fault.golden)
    fault.edit(log)
    source = log.write(tmp_path / "bad")
    assert main(["replay", "--from-files", str(source.folder), "--json"]) == ExitCode.FAILED
    first = json.loads(capsys.readouterr().out)["first"]
    assert (first["kind"], (first["topic"], first["partition"], first["offset"])) == (fault.kind, fault.place)
