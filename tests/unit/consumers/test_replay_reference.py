"""A sample of the verdicts, decided again by rouge_score: what agrees, what does not, and what only it can find."""

import json
from pathlib import Path

import msgspec
import pytest

from consumers.replay import Audit, AuditExtent, audit
from consumers.replay.reference import with_reference
from infra.log.archive import ArchiveSource
from schemas.events import InstructionsRejected
from sedi.main import main
from sedi.options import ExitCode
from streams.core.similarity.index import RougeLIndex
from tests.golden import HERE, NAMES
from tests.golden.edits import Log
from tests.golden.faults import FAULTS
from tests.unit.consumers.recorded_run import LETTER, POEM, POLICY, RIVERS, RIVERS_AGAIN, SEEDS, ToldRun, source_of

ALL = 10_000


@pytest.fixture(scope="module")
def sound() -> Audit:
    return audit(ArchiveSource(HERE / "undisturbed"))


@pytest.mark.parametrize("name", NAMES)
def test_rouge_score_decides_every_verdict_of_the_golden_logs_as_it_was(name: str) -> None:
    source = ArchiveSource(HERE / name)
    found = with_reference(audit(source), source, ALL)

    assert found.divergences == 0 and found.reference is not None
    words = Log(HERE / name).values("rejected")
    similar = sum(rejection["reason"] == "similar" for word in words for rejection in word.get("rejections", ()))
    assert found.reference.sampled == found.reference.of >= found.checked["kept"] > 10
    assert similar <= found.reference.of - found.checked["kept"] + sum(found.repeats.values())
    assert found.reference.pairs > found.reference.of


def test_a_sample_is_as_large_as_asked_of_the_range_and_the_same_again(sound: Audit) -> None:
    source = ArchiveSource(HERE / "undisturbed")
    part = audit(source, AuditExtent(from_offset=10, to_offset=19))
    told: list[tuple[int, int]] = []

    found = with_reference(part, source, 7, lambda done, of: told.append((done, of)))

    assert told == [(number, 7) for number in range(1, 8)]
    again = with_reference(part, source, 7).reference
    assert found.reference is not None and again is not None
    assert msgspec.structs.replace(found.reference, seconds=0.0) == msgspec.structs.replace(again, seconds=0.0)
    whole = with_reference(sound, source, 7).reference
    assert whole is not None and found.reference.of < whole.of and found.reference.pairs != whole.pairs


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("the similarity of a rejection is another", "similarity"),
        ("the nearest of a rejection is another", "similarity"),
        ("a rejection is missing from its record", "flipped"),
    ],
)
def test_a_verdict_that_is_not_rouge_scores_is_a_divergence(
    name: str, kind: str, sound: Audit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    log = Log(HERE / fault.golden)
    fault.edit(log)
    source = log.write(tmp_path / "bad")

    found = with_reference(sound, source, ALL)  # the audit of the sound log: what is found, rouge_score found

    assert found.by_kind == {kind: 1} and found.first is not None and found.reference is not None
    assert (found.first.topic, found.first.offset) == fault.place[::2] and found.reference.differences == 1
    assert main(["replay", "--from-files", str(source.folder), "--reference", "100", "--json"]) == ExitCode.FAILED
    assert json.loads(capsys.readouterr().out)["reference"]["differences"] == 1


def test_a_fault_that_the_filter_and_the_audit_share_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RougeLIndex, "add_unless_similar", lambda index, items: [None for _ in items])
    story = ToldRun()
    story.generation(0, [RIVERS, LETTER])
    story.generation(1, [POEM, RIVERS_AGAIN])
    source = source_of(story)
    found = audit(source)

    checked = with_reference(found, source, ALL)

    assert "flipped" not in found.by_kind and checked.by_kind["flipped"] == 1 and checked.reference is not None
    assert checked.first is not None and checked.reference.differences == 1
    assert checked.first.recorded == "kept" and checked.first.state.kept_total == 2


def test_seeds_are_compared_with_and_every_script_is_read_where_the_policy_says_so() -> None:
    policy = msgspec.structs.replace(POLICY, compare_with_seeds=True, tokenizer="unicode")
    story = ToldRun(policy=policy)
    story.generation(0, ["Explain: почему небо днём всегда такое синее", RIVERS, SEEDS[1].instruction + " today"])
    story.generation(1, ["Explain: почему небо днём всегда синее", LETTER, RIVERS.replace("east", "west")])
    words = [event for _, entry in story.events(InstructionsRejected) if (event := entry.event)]
    assert [len(word.rejections) for word in words if isinstance(word, InstructionsRejected)] == [1, 2]
    source = source_of(story)

    found = with_reference(audit(source), source, ALL)

    assert found.divergences == 0 and found.reference is not None
    assert (found.reference.sampled, found.reference.compared_with) == (6, 3)
    assert found.reference.pairs == 6 * len(SEEDS) + 0 + 1 + 2 + 2 + 2 + 3


def test_it_belongs_to_an_audit(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["replay", "--from-files", str(HERE / "undisturbed"), "--reference", "5", "--at", "3"]) == ExitCode.USAGE
    )
    assert "--reference belongs to an audit" in capsys.readouterr().err
