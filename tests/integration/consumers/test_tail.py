"""`sedi tail` as a real process in a pipe: in order of time, as events come, and with a clean end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.writer import LogWriter
from infra.settings import Settings
from tests.unit.consumers.story import Story, short_run

Tail = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def tail(cluster: Settings, run: str) -> Iterator[Tail]:
    """Starts `sedi tail` on this run; what still runs in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "sedi",
                "tail",
                "--run",
                run,
                "--bootstrap-servers",
                cluster.bootstrap_servers,
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SEDI_RUN": "another"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def story(cluster: Settings, run: str) -> Story:
    story = short_run(run)
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
    return story


def lines(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def write_one(cluster: Settings, run: str, number: int) -> None:
    with LogWriter(cluster, run, "test") as log:
        told = Story(run).keep(number, number, 0, 1)
        log.write(told.event, key=told.key, id=told.id, partition=told.partition)


def test_the_whole_log_comes_in_order_of_time_and_ends_there(tail: Tail, story: Story) -> None:
    found = lines(tail("--until-end"))

    times = [line["timestamp_ms"] for line in found]
    assert times == sorted(times)
    assert sorted(str(line["id"]) for line in found) == sorted(entry.id for entry in story.written)
    assert found[0]["type"] == "RunConfigured"


def test_only_what_was_asked_for_comes(tail: Tail, story: Story) -> None:
    assert [line["id"] for line in lines(tail("--until-end", "--type", "InstructionKept", "--where", "cluster=1"))] == [
        entry.id for entry in story.written if entry.topic == "kept" and entry.partition == 1
    ]
    assert len(lines(tail("--until-end", "--topic", "calls", "--count", "2"))) == 2
    assert len(lines(tail("--until-end", "--topic", "rejected", "--from", "1"))) == 2
    assert lines(tail("--until-end", "--since", "2099-01-01")) == []
    assert len(lines(tail("--until-end", "--since", "1h"))) == len(story.written)


def test_raw_gives_the_values_as_they_are(tail: Tail, story: Story) -> None:
    out, _ = tail("--until-end", "--topic", "training-log", "--raw").communicate(timeout=60)

    assert [json.loads(line)["window"] for line in out.splitlines()] == [0, 1]


def follow(process: "subprocess.Popen[str]") -> "Queue[str]":
    """Its lines as they come."""
    queue: Queue[str] = Queue()
    assert process.stdout is not None

    def read() -> None:
        for line in process.stdout or ():
            queue.put(line)

    threading.Thread(target=read, daemon=True).start()
    return queue


def first_line(cluster: Settings, run: str, queue: "Queue[str]") -> dict[str, object]:
    """Write until the follower, which begins at the end of the log, shows something."""
    for number in range(100, 130):
        write_one(cluster, run, number)
        with suppress(Empty):  # it is still starting
            line: dict[str, object] = json.loads(queue.get(timeout=1))
            return line
    raise AssertionError("the follower showed nothing in 30 s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_shows_what_comes_and_a_signal_ends_it_with_130(
    tail: Tail, cluster: Settings, story: Story, number: signal.Signals
) -> None:
    process = tail()
    queue = follow(process)

    line = first_line(cluster, story.run, queue)
    assert (line["topic"], line["partition"]) == ("kept", 1)

    process.send_signal(number)
    assert process.wait(timeout=90) == 130
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_a_reader_that_goes_away_ends_it_without_a_word_though_nothing_new_comes(tail: Tail, story: Story) -> None:
    process = tail("--from", "start")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()

    assert process.wait(timeout=90) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_the_last_events_of_those_asked_for_come_first_and_then_what_follows(
    tail: Tail, cluster: Settings, story: Story
) -> None:
    everything = lines(tail("--until-end"))

    assert lines(tail("--until-end", "--last", "4")) == everything[-4:]
    kept = [line for line in everything if line["topic"] == "kept"]
    assert lines(tail("--until-end", "--last", "2", "--type", "InstructionKept")) == kept[-2:]

    queue = follow(tail("--last", "1", "--topic", "kept"))
    assert json.loads(queue.get(timeout=90)) == kept[-1]
    write_one(cluster, story.run, 300)
    assert json.loads(queue.get(timeout=90))["data"]["generated_offset"] == 300


def burst(settings: Settings, run: str, generations: int) -> Story:
    """A long story of five events a generation, and as many records on the log, written as fast as it goes."""
    story = Story(run, batch_size=2)
    for number in range(generations):
        story.generate(number)
        story.decide(number, number, {0: number % 2}, {1: "similar", 2: "similar"})
    apply(settings, run, story.batch_size)
    write_all(settings, story)
    return story


def write_all(settings: Settings, story: Story) -> None:
    with LogWriter(settings, story.run, "test") as log:
        for sent in [log.send(w.event, key=w.key, id=w.id, partition=w.partition) for w in story.written]:
            log.wait(sent)


def test_a_named_reader_killed_in_a_burst_goes_on_without_missing_an_event(
    tail: Tail, cluster: Settings, run: str, tmp_path: Path
) -> None:
    resume = ("--resume", "export", "--state-dir", str(tmp_path))
    story = burst(cluster, run, 600)
    shown: list[str] = []
    for _ in range(2):
        killed = tail(*resume, "--from", "start")
        assert killed.stdout is not None
        part = [json.loads(killed.stdout.readline())["id"] for _ in range(700)]
        killed.kill()
        # A line that the kill has torn is no line; the reader prints it again.
        part += [json.loads(line)["id"] for line in killed.stdout if line.endswith("\n")]
        shown += part
    shown += [line["id"] for line in lines(tail(*resume, "--until-end"))]

    assert set(shown) == {entry.id for entry in story.written}
    assert lines(tail(*resume, "--until-end")) == []

    (tmp_path / run / "tail" / "export.json").write_text(
        json.dumps({"run": run, "positions": {"kept": {"0": 10**6}}}), encoding="utf-8"
    )
    _, told = tail(*resume, "--until-end").communicate(timeout=60)
    assert "kept/0 up to 1000000, but the log holds 0 to 300" in told


@pytest.mark.timeout(180)
def test_a_broker_that_dies_and_comes_back_costs_no_event_and_repeats_none(
    tail: Tail, settings: Settings, run: str, tmp_path: Path
) -> None:
    own = settings.model_copy(update={"state_dir": tmp_path, "broker_heap_mb": 256})
    with temporary_broker(own) as broken:
        story = burst(broken.settings, run, 100)
        queue = follow(tail("--bootstrap-servers", broken.bootstrap, "--from", "start"))
        shown = [json.loads(queue.get(timeout=60)) for _ in story.written]
        broken.kill()
        broken.restart()
        write_all(broken.settings, story)  # the same again, at other offsets
        shown += [json.loads(queue.get(timeout=60)) for _ in story.written]

        assert sorted(line["id"] for line in shown) == sorted(2 * [entry.id for entry in story.written])
        assert len({(line["topic"], line["partition"], line["offset"]) for line in shown}) == len(shown)
        assert queue.empty()
