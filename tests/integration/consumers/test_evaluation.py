"""An evaluation on a real log: followed, archived, audited, and cleared of what cannot be read."""

import json
from pathlib import Path

import pytest
from kafka import KafkaProducer

import sedi
from consumers.replay import audit
from infra.cluster.connection import connection
from infra.cluster.topics import apply
from infra.log.archive import ArchiveSource
from infra.log.archiving import write_archive
from infra.log.dead_letters import DeadLetter, parse
from infra.log.restoring import restore_archive
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas.evaluation import QuestionMeasured
from schemas.topics import topic_name
from sedi.main import main
from streams.worker.inspector import Inspector
from tests.unit.consumers.evaluated_run import MINE, evaluate
from tests.unit.consumers.recorded_run import ToldRun, whole_run

TOPICS = ("measured", "answers", "judgements")
GARBAGE = b'{"model": "nobody"}'


@pytest.fixture
def story(cluster: Settings, run: str) -> ToldRun:
    """A run on the log, and an evaluation of it."""
    story = whole_run(run)
    evaluate(story)
    apply(cluster, run, story.policy.clusters)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
    return story


def put_garbage(cluster: Settings, run: str) -> None:
    """A record on each topic of the evaluation that does not decode."""
    headers = [("ce_specversion", b"1.0"), ("ce_type", b"sedi.AnswerGiven.v1"), ("ce_id", b"x")]
    producer = KafkaProducer(**connection(cluster, "test"))
    for topic in TOPICS:
        producer.send(topic_name(run, topic), value=GARBAGE, key=b"k", headers=headers, partition=0).get(10)
    producer.close()


def test_what_cannot_be_read_becomes_a_dead_letter_and_changes_no_number(cluster: Settings, story: ToldRun) -> None:
    source = KafkaSource(cluster, story.run)
    before = audit(source)
    assert (before.checked["measured"], before.checked["answers_given"], before.checked["answers_judged"]) == (3, 8, 3)
    put_garbage(cluster, story.run)
    garbage = {("answers", 0, 8), ("judgements", 0, 3), ("measured", 0, 3)}
    assert set(audit(source).not_in_dead_letters) == garbage

    inspector = Inspector(cluster, story.run)
    while inspector.step():
        pass
    inspector.close()
    with source.open([f"{topic}.dlq" for topic in TOPICS]) as reading:
        records = list(reading.rest())
    letters = [letter for record in records if isinstance(letter := parse(record), DeadLetter)]
    assert {(letter.topic, letter.partition, letter.came_from) for letter in letters} == garbage
    assert [record.value for record in records] == [GARBAGE] * 3

    after = audit(source)
    assert (after.unreadable, after.not_in_dead_letters) == (dict.fromkeys(sorted(TOPICS), 1), ())
    assert (after.checked, after.by_kind, after.digests) == (before.checked, before.by_kind, before.digests)
    for name in ("benchmarks", "answers", "comparisons"):
        assert getattr(after.evaluation, name) == getattr(before.evaluation, name)
    with sedi.open(story.run) as opened:
        assert [opened.measured().height, opened.answers().height, opened.judgements().height] == [3, 8, 3]


def test_an_archive_of_it_is_the_same_evaluation(
    cluster: Settings, story: ToldRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_archive(cluster, story.run, tmp_path / "log")
    live, archived = audit(KafkaSource(cluster, story.run)), audit(ArchiveSource(tmp_path / "log"))
    assert (live.digests, live.checked, live.evaluation) == (archived.digests, archived.checked, archived.evaluation)
    assert {*TOPICS, *(f"{topic}.dlq" for topic in TOPICS)} <= {
        file.topic for file in ArchiveSource(tmp_path / "log").manifest.files
    }

    assert restore_archive(cluster, tmp_path / "log").written == 0, "all of it is on the cluster"

    shown = []
    for where in (["--run", story.run], ["--from-files", str(tmp_path / "log")]):
        assert main(["tail", *where, "--until-end", "--topic", "measured", "--json"]) == 0
        shown.append([json.loads(line) for line in capfd.readouterr().out.splitlines()])
        assert main(["explain", "demo@4", *where, "--json"]) == 0
        told = json.loads(capfd.readouterr().out)
        assert (told["id"], told["model"]["benchmarks"][0]["right"]) == (MINE.key, 2)
    assert shown[0] == shown[1] and [line["data"]["question_id"] for line in shown[0]] == ["q0", "q1", "q2"]
    assert {line["type"] for line in shown[0]} == {QuestionMeasured.__name__}


def test_a_status_counts_the_run_and_not_its_evaluation(
    cluster: Settings, story: ToldRun, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--run", run, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["rejected_total"]) == (5, 5)
    assert told["lag"]["generations"] == 1
    with sedi.open(run) as opened:
        report = opened.report()
    assert (report.unreadable, report.duplicates, report.accounted) == ({}, {}, True)
