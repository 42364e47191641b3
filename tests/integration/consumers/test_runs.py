"""Runs on a real cluster are listed, and deleted whole: not one that is at work, and no other run with them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer

from infra.cluster.admin import administrator
from infra.cluster.connection import connection
from infra.cluster.topics import apply
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas import ids
from schemas.evaluation import TrainedBy
from schemas.events import RunStopped
from schemas.topics import topic_name
from sedi.main import main
from sedi.runs import found as looking
from tests.harness.groups import commit_place
from tests.unit.consumers.evaluated_run import MINE, loglikelihoods
from tests.unit.consumers.recorded_run import ToldRun, whole_run

YEAR_2001_MS = 978_307_200_000


@pytest.fixture
def story(cluster: Settings, run: str, monkeypatch: pytest.MonkeyPatch) -> ToldRun:
    """A run on the log, with a committed place of its worker, a folder here, and a table of its worker's."""
    monkeypatch.setattr(looking, "RECENT_S", 0.0)  # its records are of this moment
    return written(cluster, run)


def written(cluster: Settings, run: str) -> ToldRun:
    story = whole_run(run)
    apply(cluster, run, story.policy.clusters)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
    with administrator(cluster) as admin:
        admin.create_topics({topic_name(run, "worker-kept-changelog"): {"num_partitions": 1, "replication_factor": 1}})
    commit_place(cluster, topic_name(run, "worker"), topic_name(run, "generated"))
    checkpoint = cluster.state_dir / run / "checkpoints" / "step-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights").write_bytes(b"w" * 10_000)
    return story


@contextmanager
def at_work(cluster: Settings, run: str, group: str) -> Iterator[None]:
    """A member of a group that reads the run, until the context ends."""
    consumer = KafkaConsumer(
        topic_name(run, "generated"), **connection(cluster, "a-reader"), group_id=group, enable_auto_commit=False
    )
    deadline = time.monotonic() + 60
    while not consumer.assignment():
        assert time.monotonic() < deadline
        consumer.poll(100)
    try:
        yield
    finally:
        consumer.close()


@contextmanager
def writing(log: LogWriter) -> Iterator[None]:
    """Records come to the run's ledger, until the context ends."""
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.05):
            log.put("calls", 0, b"k", b"v", [])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def runs(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """The exit code, the JSON and the messages of `sedi runs`."""
    capsys.readouterr()
    code = main(["runs", *arguments, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else None, printed.err


def left(cluster: Settings, run: str) -> tuple[set[str], set[str]]:
    """What the cluster has of a run: short names of topics and of groups."""
    prefix = topic_name(run, "")
    with administrator(cluster) as admin:
        names = admin.list_topics(), [group["group_id"] for group in admin.list_groups()]
    topics, groups = ({name.removeprefix(prefix) for name in each if name.startswith(prefix)} for each in names)
    return topics, groups


def test_a_list_has_size_age_and_who_is_at_work_and_a_run_is_shown_with_what_depends_on_it(
    cluster: Settings, story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = story.run, f"{story.run}-other"
    evaluation = whole_run(other)
    loglikelihoods(evaluation, (-1.0, -2.0, -3.0), 0, model=MINE.__replace__(trained=TrainedBy(run=run, step=4)))
    apply(cluster, other, evaluation.policy.clusters)
    with LogWriter(cluster, other, "test") as log:
        evaluation.write(log)
    commit_place(cluster, f"{run}-sink", topic_name(run, "generated"))

    with at_work(cluster, run, topic_name(run, "worker")):
        code, listed, _ = runs(capsys, "list")
        shown_code, shown, _ = runs(capsys, "show", run)
    assert code == 0 and main(["runs", "list"]) == 0 and main(["runs", "show", run]) == 0

    mine = next(each for each in listed if each["run"] == run)
    assert mine["records"] == len(story.written)
    assert mine["bytes"] == sum(topic["bytes"] for topic in mine["topics"]) > 0
    assert abs(mine["last_ms"] / 1000 - time.time()) < 120 and mine["first_ms"] <= mine["last_ms"]
    assert mine["missing"] == []
    assert [(group["name"], group["live"]) for group in mine["groups"]] == [(topic_name(run, "worker"), True)]
    assert mine["groups"][0]["members"] == [{"client": "a-reader", "host": "127.0.0.1"}]
    assert shown_code == 0 and shown["evaluated_in"] == [other]
    assert [(group["name"], group["own"]) for group in shown["groups"]] == [
        (topic_name(run, "worker"), True),
        (f"{run}-sink", False),
    ]
    assert [entry["name"] for entry in shown["local"]["entries"]] == ["checkpoints"]
    assert shown["local"]["bytes"] >= 10_000
    assert runs(capsys, "show", f"{run}-absent")[0] == 1


def test_a_run_at_work_is_refused_a_forced_deletion_is_finished_by_the_next_and_nothing_else_goes(
    cluster: Settings, story: ToldRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, neighbour, worker = story.run, f"{story.run}-2", topic_name(story.run, "worker")
    written(cluster, neighbour)
    assert main(["archive", str(tmp_path / "kept"), "--run", run]) == 0
    with administrator(cluster) as admin:
        admin.create_topics({topic_name(run, "of-another-program"): {"num_partitions": 1, "replication_factor": 1}})
    before = left(cluster, run), left(cluster, neighbour)

    with at_work(cluster, run, worker):
        code, _, message = runs(capsys, "delete", run, "--yes")
        assert code == 1 and f"1 at work from 127.0.0.1 in its group {worker}" in message
        assert runs(capsys, "delete", run)[0] == 1 and left(cluster, run) == before[0]
        code, found, message = runs(capsys, "delete", run, "--yes", "--force")
        assert code == 1 and found["deleted"]["groups_left"] == [worker]
        assert left(cluster, run) == ({"of-another-program"}, {"worker"})
    assert (cluster.state_dir / run).is_dir()

    code, found, _ = runs(capsys, "delete", run, "--yes", "--local-state")
    assert code == 0 and found["deleted"] == {"topics": [], "groups": [worker], "groups_left": []}
    assert left(cluster, run) == ({"of-another-program"}, set())
    assert not (cluster.state_dir / run).exists() and (cluster.state_dir / neighbour).is_dir()
    assert left(cluster, neighbour) == before[1]
    assert (tmp_path / "kept" / "manifest.json").is_file()
    assert runs(capsys, "delete", run, "--yes")[0] == 1
    with administrator(cluster) as admin:
        admin.delete_topics([topic_name(run, "of-another-program")])


def test_a_half_deleted_run_is_marked_and_deleted_only_after_a_yes(
    cluster: Settings, story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = story.run
    with administrator(cluster) as admin:
        admin.delete_topics([topic_name(run, topic) for topic in ("run", "kept", "calls.dlq")])
    _, listed, _ = runs(capsys, "list")
    assert next(each["missing"] for each in listed if each["run"] == run) == ["calls.dlq", "kept", "run"]

    before = left(cluster, run)
    code, found, _ = runs(capsys, "delete", run, "--dry-run")
    assert code == 0 and found["deleted"] is None
    code, _, message = runs(capsys, "delete", run)  # nobody can be asked
    assert code == 2 and "Give --yes" in message
    assert left(cluster, run) == before

    code, found, _ = runs(capsys, "delete", run, "--yes")
    assert code == 0 and len(found["deleted"]["topics"]) == len(before[0])
    assert left(cluster, run) == (set(), set())
    assert (cluster.state_dir / run).is_dir()


def test_a_run_just_written_to_is_refused_until_it_was_stopped_and_grows_no_more(
    cluster: Settings, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    story = whole_run(run)
    apply(cluster, run, story.policy.clusters)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
        code, _, message = runs(capsys, "delete", run, "--yes")
        assert code == 1 and "its newest record is" in message

        log.write(RunStopped(reason="it is enough"), key=run, id=ids.child(ids.run_id(run), "stop"))
        with writing(log):
            code, _, message = runs(capsys, "delete", run, "--yes")
        assert code == 1 and "records were written to it just now" in message
    assert runs(capsys, "delete", run, "--yes")[0] == 0


def test_runs_expire_by_their_newest_record_unless_somebody_is_at_work_on_them(
    cluster: Settings, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, busy, young, empty = (f"{run}-{name}" for name in ("old", "busy", "young", "empty"))
    producer = KafkaProducer(**connection(cluster, "test"))
    for name in (old, busy, young, empty):
        apply(cluster, name, 2)
        if name != empty:
            producer.send(topic_name(name, "generated"), value=b"x", timestamp_ms=YEAR_2001_MS).get(30)
    producer.send(topic_name(young, "kept"), value=b"x").get(30)
    producer.close()
    arguments = ("expire", "--older-than", "2002-01-01")

    with at_work(cluster, busy, topic_name(busy, "worker")):
        code, dry, _ = runs(capsys, *arguments, "--dry-run")
        assert code == 0 and dry["deleted"] == [] and left(cluster, old)[0]
        code, found, _ = runs(capsys, *arguments, "--yes")

    assert [each["run"] for each in found["expired"]] == [each["run"] for each in dry["expired"]] == [old]
    assert [each["run"] for each in found["at_work"]] == [busy]
    assert code == 0 and left(cluster, old) == (set(), set())
    assert all(left(cluster, name)[0] for name in (busy, young, empty))
    assert runs(capsys, *arguments, "--yes")[1]["expired"][0]["run"] == busy
    assert runs(capsys, *arguments)[0] == 0  # nothing is left to ask about
