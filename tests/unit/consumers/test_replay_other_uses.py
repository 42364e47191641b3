"""The state of a run at any time, what other settings would have made of it, and an audit shared between processes."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from rouge_score.rouge_scorer import RougeScorer

from consumers.replay import AuditExtent, audit
from consumers.replay import parallel as sharing
from consumers.replay.classifiers import _close
from consumers.replay.digests import classifier_content
from consumers.replay.plot import write_plot
from consumers.replay.point_in_time import state_at
from consumers.replay.what_if import what_if
from infra.log.archive import ArchiveSource
from infra.log.record import Record
from infra.log.run import configuration
from infra.models import embeddings
from schemas.errors import ConfigurationError, RunError
from schemas.events import CallAnswered, InstructionKept, InstructionsGenerated, InstructionsRejected, ReplaceSeeds
from schemas.policy import Policy, policy_for, policy_with
from schemas.seeds import SeedTask
from sedi.main import main
from streams.core import decider
from streams.core.rules import broken_rule
from tests.harness.embedder import Letters

GOLDEN = Path(__file__).parents[2] / "golden" / "undisturbed"


@pytest.fixture(scope="module")
def source() -> ArchiveSource:
    return ArchiveSource(GOLDEN)


def records(source: ArchiveSource, topic: str) -> list[Record]:
    with source.open([topic]) as reading:
        return list(reading.rest())


def policy(source: ArchiveSource, **changes: object) -> Policy:
    return policy_with(configuration(source)[0].policy, **changes)


# -- what if -------------------------------------------------------------------------------------------------------


def test_the_runs_own_policy_makes_what_the_run_made(source: ArchiveSource) -> None:
    found = what_if(source, policy(source))

    assert found.real == found.what_if and not found.changed
    assert found.in_both == found.real.kept > 0 and found.only_real == found.only_what_if == 0
    kept = [r.event for r in records(source, "kept") if isinstance(r.event, InstructionKept)]
    assert found.real.kept == len(kept)
    assert found.real.clusters == tuple(
        Counter(row.cluster for row in kept)[c] for c in range(len(found.real.clusters))
    )
    told = [r.event for r in records(source, "rejected") if isinstance(r.event, InstructionsRejected)]
    assert found.real.rejected == dict(Counter(x.reason for event in told for x in event.rejections).most_common())
    commands = [r.event for r in records(source, "seed-commands") if isinstance(r.event, ReplaceSeeds)]
    assert found.real.replacements == sum(len(command.replacements) for command in commands) > 0


def test_other_vectors_change_the_clusters_and_nothing_else(
    source: ArchiveSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "_installed", Letters)
    found = what_if(source, policy(source, vectorizer="embeddings", feedback=False))

    assert found.only_real == found.only_what_if == 0 < found.in_both
    assert found.what_if.clusters != found.real.clusters
    assert sum(found.what_if.clusters) == sum(found.real.clusters)


def test_a_fit_on_another_models_embeddings_is_never_close_to_one_with_the_same_numbers() -> None:
    texts = [
        f"{verb} a {thing}"
        for verb in ("Describe", "Compare", "Draw")
        for thing in ("quiet harbour", "zeppelin", "fox", "jam")
    ]
    seeds = [SeedTask(id=text, instruction=text, output="so") for text in texts]
    one, other = (
        decider.first_classifier(policy_for(clusters=4, vectorizer="embeddings"), seeds, Letters(model_sha256=sha256))
        for sha256 in ("ab", "cd")
    )
    assert msgspec.structs.replace(one.classifier, model_sha256="cd") == other.classifier
    assert not _close(one, other) and _close(one, one)
    assert classifier_content(one) != classifier_content(other)


def test_another_threshold_keeps_what_rouge_score_would_have_kept(source: ArchiveSource) -> None:
    """Given the recorded answers, when the reference compares each with all kept before it, then it keeps as many."""
    changed = policy(source, threshold=0.3)
    scorer = RougeScorer(["rougeL"])
    kept: list[str] = []
    calls = 0
    for record in records(source, "generated"):
        event = record.event
        assert isinstance(event, InstructionsGenerated)
        calls += len(event.answers)
        for task in event.instructions:
            scores = (scorer.score(text, task.instruction)["rougeL"].fmeasure for text in kept)
            if broken_rule(task, changed) is None and all(score <= 0.3 for score in scores):
                kept.append(task.instruction)

    found = what_if(source, changed)

    assert found.what_if.kept == len(kept) < found.real.kept
    assert found.changed == {"threshold": (configuration(source)[0].policy.threshold, 0.3)}
    assert found.what_if.calls == calls
    assert found.what_if.calls_per_1000_kept == 1000 * calls / len(kept)
    assert found.what_if.curve[-1] == (found.what_if.generated, len(kept))


def test_another_mode_takes_that_modes_defaults(source: ArchiveSource) -> None:
    run = configuration(source)[0].policy
    other = policy(source, mode="self-instruct")
    assert (other.threshold, other.compare_with_seeds, other.feedback, other.clusters) == (0.7, True, False, 1)
    assert (other.rng_seed, other.refit_from, other.rules) == (run.rng_seed, run.refit_from, run.rules)
    assert (
        policy_with(other, mode="sedi", clusters=run.clusters, batch_size=run.batch_size, threshold=run.threshold)
        == run
    )
    assert what_if(source, other).what_if.replacements == 0


def test_a_what_if_is_drawn_and_the_same_again(source: ArchiveSource, tmp_path: Path) -> None:
    found = what_if(source, policy(source, threshold=0.5))
    write_plot(found, tmp_path / "a.svg")
    assert "threshold" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    write_plot(found, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigurationError, match="cannot hold a plot"):
        write_plot(found, tmp_path / "a.txt")


# -- the state at a time ---------------------------------------------------------------------------------------------


def test_the_state_at_an_offset_is_what_the_log_up_to_it_says(source: ArchiveSource) -> None:
    (last,) = [r for r in records(source, "seed-commands") if isinstance(r.event, ReplaceSeeds)][-1:]
    command = last.event
    assert isinstance(command, ReplaceSeeds)

    found = state_at(source, offset=command.as_of_offset)

    kept = [r.event for r in records(source, "kept") if isinstance(r.event, InstructionKept)]
    assert found.offset == command.as_of_offset
    assert found.kept == sum(1 for row in kept if row.generated_offset <= command.as_of_offset)
    assert sum(found.clusters) == found.kept
    assert found.audit.divergences == 0
    scores = {seed.id: (seed.generated, seed.kept) for seed in found.seeds}
    for replacement in command.replacements:  # not in the pool of a state that saw the command's effect
        if replacement.victim_id in scores:
            assert scores[replacement.victim_id] == (replacement.victim_generated, replacement.victim_kept)
    calls = [r for r in records(source, "calls") if r.timestamp_ms <= found.timestamp_ms]
    assert found.spent.answered == sum(1 for r in calls if isinstance(r.event, CallAnswered)) > 0


def test_the_state_at_a_time_is_that_of_the_last_generation_written_by_then(source: ArchiveSource) -> None:
    third = records(source, "generated")[3]
    later = records(source, "generated")[4]
    found = state_at(source, timestamp_ms=max(third.timestamp_ms, later.timestamp_ms - 1))
    assert found.offset >= 3
    assert state_at(source, offset=3).offset == 3
    with pytest.raises(RunError, match="nothing was decided"):
        state_at(source, timestamp_ms=1)
    with pytest.raises(RunError, match="is not decided"):
        state_at(source, offset=10**6)


# -- parts of a run ----------------------------------------------------------------------------------------------------


def test_an_audit_shared_between_processes_finds_the_same(
    source: ArchiveSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_WORTH_SHARING", 1)
    monkeypatch.setattr(sharing, "_START", 0.0)
    assert len(sharing._starts(source, 2)) == 2
    alone, shared = audit(source), audit(source, jobs=2)
    assert msgspec.structs.replace(shared, seconds=0.0) == msgspec.structs.replace(alone, seconds=0.0)
    assert alone.divergences == 0 and alone.checked["commands"] > 0


def test_a_range_is_decided_and_what_lies_before_it_taken_as_recorded(source: ArchiveSource) -> None:
    whole = audit(source)
    found = audit(source, AuditExtent(from_offset=10, to_offset=19))
    assert (found.from_offset, found.through_offset, found.checked["generations"]) == (10, 19, 10)
    assert found.divergences == 0
    tail = audit(source, AuditExtent(from_offset=20))
    assert tail.digests == whole.digests and tail.through_offset == whole.through_offset
    with pytest.raises(ConfigurationError, match="empty"):
        AuditExtent(from_offset=5, to_offset=4)


def test_the_command_audits_an_archive(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--from-files", str(GOLDEN), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["divergences"] == 0
    assert main(["replay", "--from-files", str(GOLDEN), "--at", "5"]) == 0
    assert "after offset" in capsys.readouterr().out
    assert main(["replay", "--from-files", str(GOLDEN), "--set", "threshold=0.5"]) == 0
    assert "what if" in capsys.readouterr().out
    assert main(["replay", "--from-files", str(GOLDEN), "--set", "threshold=2"]) == 2
    assert main(["replay", "--from-files", str(GOLDEN), "--at", "5", "--to", "6"]) == 2
