"""A run on a real cluster, opened and started from Python."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

import sedi
from infra.cluster.topics import apply
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas.errors import BrokerError, RunError
from tests.e2e.driver import write_answers
from tests.unit.consumers.story import short_run


def test_a_run_whose_events_are_on_the_log_twice_gives_each_row_once(cluster: Settings, run: str) -> None:
    story = short_run(run)
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)
        story.write(log)
        for offset in range(3, 6):  # the repeats on `generated`: nothing to decide
            verdict = story.reject(offset, offset, {}, generated=0)
            log.write(verdict.event, key=verdict.key, id=verdict.id)

    with sedi.open(run) as opened:
        report = opened.report()
        frames = [opened.kept(), opened.rejected(), opened.calls(), opened.training()]
        seeds = opened.seeds()
        story_of = opened.explain(opened.kept()["id"][0])

    assert report.duplicates["kept"] > 0
    assert (
        [frame.height for frame in frames]
        == [report.kept, report.rejected_total, report.calls.started, report.steps]
        == [4, 4, 3, 20]
    )
    assert seeds.filter(~pl.col("active"))["replaced_by"].to_list() == ["new-1"]
    assert story_of.instruction is not None and story_of.instruction.verdict.outcome == "kept"


def test_a_cell_of_a_notebook_reads_the_cluster_beside_its_own_event_loop(cluster: Settings, run: str) -> None:
    story = short_run(run)
    apply(cluster, run, story.batch_size)
    with LogWriter(cluster, run, "test") as log:
        story.write(log)

    async def cell() -> int:
        return sedi.open(run).kept().height

    assert asyncio.run(cell()) == 4


def test_a_run_that_is_not_there_is_named(cluster: Settings, run: str) -> None:
    with pytest.raises(RunError, match=run):
        sedi.open(run).kept()


def run_config(folder: Path, **more: object) -> dict[str, object]:
    answers = write_answers(folder / "answers.jsonl", 40)
    return {
        "seed_count": 8,
        "trainer": False,
        "policy": {"batch_size": 4},
        "generate": ["--recorded", str(answers), "--style", "alpaca"],
        **more,
    }


@pytest.mark.timeout(300)
def test_a_run_is_started_watched_and_read(cluster: Settings, run: str, tmp_path: Path) -> None:
    lines: list[str] = []
    outcome = sedi.run(run_config(tmp_path, max_kept=20), run=run, say=lines.append)
    assert outcome.reached and outcome.report.kept >= 20 and outcome.report.accounted
    assert any("generated" in line for line in lines)
    assert sedi.open(run).kept().height == outcome.report.kept


@pytest.mark.timeout(300)
def test_an_interrupt_ends_it_in_order(cluster: Settings, run: str, tmp_path: Path) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    timers: list[threading.Timer] = []

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")  # shown when this does not end
        if "kept" in line and not timers:
            timers.append(threading.Timer(0.5, interrupt))
            timers[0].start()

    config = run_config(tmp_path, generate=["--backend", "load-model"])
    outcome = sedi.run(config, run=run, say=say)
    assert outcome.reason == "interrupted" and len(timers) == 1
    assert outcome.report.undecided == 0 and outcome.report.kept == sedi.open(run).kept().height


def test_a_cluster_that_is_not_there_raises_a_broker_error(tmp_path: Path) -> None:
    with pytest.raises(BrokerError):
        sedi.run(
            {"max_kept": 5, "trainer": False, "generate": ["--backend", "load-model"]},
            bootstrap_servers="broker.invalid:9092",
            state_dir=tmp_path,
            say=lambda line: None,
        )
