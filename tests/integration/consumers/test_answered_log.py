"""The answers to kept instructions on a real log: followed, put aside where unreadable, archived and restored."""

import json
from pathlib import Path

import pytest

from consumers.dead_letters import missing
from consumers.explain.story import explain
from consumers.replay import audit
from infra.cluster.topics import apply
from infra.log.archive import ArchiveSource
from infra.log.archiving import write_archive
from infra.log.restoring import restore_archive
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from sedi.main import main
from streams.worker.inspector import Inspector
from tests.integration.infra.test_archive import delete_topics
from tests.unit.consumers.answered_run import BREAD_ID, KEPT_POLICY, POEM_ID, answered_run


@pytest.fixture
def source(cluster: Settings, run: str) -> KafkaSource:
    apply(cluster, run, KEPT_POLICY.clusters)
    with LogWriter(cluster, run, "test") as log:
        answered_run(run).write(log)
    return KafkaSource(cluster, run)


def test_an_archived_and_restored_run_has_the_same_answers(source: KafkaSource, tmp_path: Path) -> None:
    settings, run = source._settings, source.run
    before = audit(source)
    assert (before.divergences, before.unanswered, before.checked["answered"]) == (0, 1, 6)
    write_archive(settings, run, tmp_path / "archive")
    archived = ArchiveSource(tmp_path / "archive")
    assert audit(archived).digests == before.digests
    assert explain(archived, BREAD_ID).instruction == explain(source, BREAD_ID).instruction
    delete_topics(settings, run)
    restore_archive(settings, tmp_path / "archive")
    after = audit(source)
    assert (after.digests, after.divergences, after.unanswered) == (before.digests, 0, 1)


def test_answers_are_followed_by_type_and_explained_with_the_command(
    source: KafkaSource, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", "--run", source.run, "--until-end", "--type", "InstructionAnswered", "--json"]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["data"]["reason"] for line in found] == [None, "cut_output", None, None, "flagged", None]
    where = ["--where", "reason=cut_output"]
    assert main(["tail", "--run", source.run, "--until-end", "--topic", "answered", *where]) == 0
    assert json.loads(capfd.readouterr().out)["data"]["row"]["id"] == POEM_ID
    assert main(["explain", POEM_ID, "--run", source.run]) == 0
    assert "NOT used: cut_output" in capfd.readouterr().out
    assert main(["replay", "--run", source.run, "--set", "answer=all"]) == 2
    assert "made with answer=kept" in capfd.readouterr().err


def test_what_cannot_be_read_is_put_aside_and_changes_no_digest(source: KafkaSource) -> None:
    settings, run = source._settings, source.run
    before = audit(source)
    with LogWriter(settings, run, "test") as log:
        log.put("answered", 1, b"k", b"not json", [("ce_type", b"sedi.InstructionAnswered.v1")])
    unread = audit(source)
    assert unread.unreadable == {"answered": 1} and unread.divergences == 0 and unread.digests == before.digests
    assert len(missing(source)) == len(unread.not_in_dead_letters) == 1
    inspector = Inspector(settings, run)
    while missing(source):
        inspector.step()
    inspector.close()
    assert audit(source).not_in_dead_letters == ()
