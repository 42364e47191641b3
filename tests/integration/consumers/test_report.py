"""Report, status and seeds of a hand-written run on the real log, with duplicates and a bad record in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.folds.read_fold import FoldFolder
from consumers.report import report, report_of
from consumers.status import StatusWatch
from infra.cluster.topics import apply
from infra.log.reader import LogReader
from infra.log.source import TOPICS, KafkaSource
from infra.log.watched import watched
from infra.log.writer import LogWriter
from infra.runs.deletion import delete_run
from infra.settings import Settings
from sedi.main import main
from tests.unit.consumers.story import Story, short_run
from tests.unit.consumers.test_run_fold import folded


@pytest.fixture
def story(cluster: Settings, run: str) -> Story:
    """A run on the log in which everything stands twice and a record of `generated` cannot be read."""
    story = short_run(run)
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
        story.write(log)
        put_bad_record(cluster, run, log)
        for offset in range(3, 7):  # the three that stand twice, and the bad one: nothing to decide
            told = story.reject(offset, offset, {}, generated=0)
            log.write(told.event, key=told.key, id=told.id)
    return story


def put_bad_record(cluster: Settings, run: str, log: LogWriter) -> None:
    from kafka import KafkaProducer

    from infra.cluster.connection import connection

    producer = KafkaProducer(**connection(cluster, "test"))
    producer.send(f"sedi.{run}.generated", value=b"not an event", key=b"?", partition=0).get(timeout=30)
    producer.close()
    with LogReader(cluster, run, ["generated"]) as reader:
        for record in reader.read_to_end():
            if record.error is not None:
                log.dead_letter(record)
                log.dead_letter(record)


def test_the_report_drops_what_stands_twice_and_counts_what_cannot_be_read(cluster: Settings, story: Story) -> None:
    expected = report_of(folded(short_run(story.run)))

    found = report(KafkaSource(cluster, story.run))

    for name in ("calls", "generated", "kept", "rejected", "clusters", "steps", "windows", "replacements", "cost"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.accounted, found.unaccounted_first
    assert found.filter_lag == 0
    assert found.duplicates["calls"] == 6
    assert found.duplicates["kept"] == 4
    assert found.unreadable == {"generated": 1}
    assert found.dead_letters == {"generated": 1}


def test_the_report_command_prints_it_as_json_and_as_text(
    cluster: Settings, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--run", story.run, "--json", "--seeds"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["run"], printed["kept"], printed["yield"], printed["accounted"]) == (story.run, 4, 0.5, True)
    assert [row["id"] for row in printed["seeds"]] == ["seed-0", "new-1", "seed-2", "seed-3"]

    assert main(["report", "--run", story.run]) == 0
    text = capsys.readouterr().out
    assert f"Run {story.run}" in text
    assert "\x1b" not in text


def test_a_report_with_faulty_books_ends_with_1(
    cluster: Settings, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Story(run)
    story.configure()
    story.generate(0)
    story.decide(0, 0, {0: 0}, {1: "similar"})
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)

    assert main(["report", "--run", run, "--json"]) == 1

    printed = json.loads(capsys.readouterr().out)
    assert not printed["accounted"]
    assert "neither kept nor rejected" in {fault["what"] for fault in printed["unaccounted_first"]}


def test_whoever_watches_a_reading_is_told_of_every_record_from_a_client_and_from_a_reader(
    cluster: Settings, story: Story
) -> None:
    seen: list[tuple[int, int]] = []
    with watched(lambda done, total: seen.append((done, total))), KafkaSource(cluster, story.run).open(TOPICS) as log:
        records = len(list(log.rest()))
    assert (seen[0], seen[-1]) == ((0, records), (records, records))

    seen.clear()
    with watched(lambda *at: seen.append(at)), LogReader(cluster, story.run, TOPICS) as reader:
        assert len(list(reader.read_to_end())) == records
    assert (seen[0], seen[-1]) == ((0, records), (records, records))


def test_the_status_is_brought_up_to_date_by_what_came_since(cluster: Settings, story: Story) -> None:
    with StatusWatch(cluster, story.run) as watch:
        before = watch.look()
        more = Story(story.run)
        more.generate(3, count=2)
        with LogWriter(cluster, story.run, "test") as log:
            more.write(log)
        after = watch.look()

    assert (before.lag.generations, after.lag.generations) == (0, 1)
    assert after.generated == before.generated + 2
    assert after.rates.generated > 0
    assert after.broker.healthy
    assert after.dead_letters == {"generated": 1}


def test_status_and_seeds_commands_show_the_run(
    cluster: Settings, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["status"], ["seeds", "list", "--lowest"], ["seeds", "history"]):
        assert main([*command, "--run", story.run, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
        assert main([*command, "--run", story.run]) == 0
        assert "new-1" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["report"], ["status"], ["seeds", "list"], ["tail"]], ids=" ".join)
def test_a_run_that_is_not_there_is_told_and_ends_with_1(cluster: Settings, run: str, command: list[str]) -> None:
    called = [sys.executable, "-m", "sedi", *command, "--run", run]

    ended = subprocess.run(called, capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"sedi: Run '{run}' is not on {cluster.bootstrap_servers}: there is no topic ")
    assert ended.stderr.count("\n") == 1


def test_the_topics_command_plans_and_applies(cluster: Settings, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "plan", "--run", run, "--batch-size", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["missing"]) == 26
    assert main(["topics", "apply", "--run", run, "--batch-size", "2", "--json"]) == 0
    capsys.readouterr()
    assert main(["topics", "plan", "--run", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == []
    assert main(["topics", "plan", "--run", run, "--batch-size", "4"]) == 1
    assert "partitions is 2, declared is 4" in capsys.readouterr().out
    assert main(["topics", "apply", "--run", run, "--batch-size", "4"]) == 1
    assert "Topics of run" in capsys.readouterr().err


def test_status_goes_on_from_the_reports_snapshot_and_not_when_the_run_was_made_again(
    cluster: Settings, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.snapshots.files._EVERY", 1)
    settings = cluster.model_copy(update={"state_dir": tmp_path})
    source, folder = KafkaSource(settings, story.run), FoldFolder(tmp_path)
    whole = report(source)
    assert report(source, snapshots=folder) == whole
    with StatusWatch(settings, story.run) as watch:
        status = watch.look()
        assert watch._log.caught.went_on
        assert watch._log.caught.read == 0
        with LogWriter(settings, story.run, "test") as log:
            told = story.reject(7, 7, {}, generated=0)
            log.write(told.event, key=told.key, id=told.id)
        assert watch.look().last_event_ms != status.last_event_ms
    assert (status.kept, status.rejected, status.calls) == (whole.kept, whole.rejected, whole.calls)
    assert report(source, snapshots=folder) == report(source)

    delete_run(settings, story.run)
    apply(settings, story.run, story.batch_size)
    again = short_run(story.run)
    with LogWriter(settings, story.run, "test") as log:
        again.write(log)
        again.write(log)
    assert report(source, snapshots=folder) == report(source)
    assert report(source).filter_lag != whole.filter_lag
