"""`sedi eval benchmarks` on the real log: each question is measured once, over kills and signals, and never again."""

import json
import signal
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from consumers.evaluation.benchmarks.run import measured_before
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.models.identity import identify
from schemas.evaluation import QuestionMeasured
from sedi.main import main
from streams.core.evaluation.likelihood import chosen
from tests.harness.forked import Forked, fork
from tests.integration.trainer.rig import TrainerRig

QUESTIONS = 240


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A folder of questions, and of rows."""
    folder = tmp_path / "questions"
    folder.mkdir()
    rows = [
        {"question": f"What is {n}?", "choices": [f"{n}", f"not {n}", f"{n} or {n + 1}"], "answer": n % 3}
        for n in range(QUESTIONS)
    ]
    (folder / "arc_easy_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    held_out = [{"instruction": f"Say {n}", "output": f"It is {n}."} for n in range(7)]
    (folder / "rows.json").write_text(json.dumps(held_out))
    return folder


def words(rig: TrainerRig, questions: Path, *more: str) -> list[str]:
    common = ["--run", rig.run, "--data", str(questions), "--precision", "fp32", "--device", "cpu", "--threads", "1"]
    return ["eval", "benchmarks", str(rig.model_folder), *common, "--json", *more]


def slowly(arguments: Sequence[str]) -> int:
    """`sedi`, where a question takes its time on any machine, so that a kill comes in the middle."""
    wait = LogWriter.wait

    def late(self: LogWriter, future: Any) -> int:
        time.sleep(0.02)
        return wait(self, future)

    LogWriter.wait = late  # type: ignore[method-assign,assignment]
    return main(arguments)


def started(rig: TrainerRig, arguments: Sequence[str]) -> Forked:
    return fork(slowly, list(arguments), settings=rig.settings, output=rig.folder / "eval.log")


def called(
    rig: TrainerRig, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", rig.settings.bootstrap_servers)
    monkeypatch.setenv("SEDI_STATE_DIR", str(rig.settings.state_dir))
    assert main(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def on_log(rig: TrainerRig) -> list[tuple[str, QuestionMeasured]]:
    with KafkaSource(rig.settings, rig.run).open(["measured"]) as reading:
        found = [(record.id, record.event) for record in reading.rest()]
    assert all(isinstance(event, QuestionMeasured) for _, event in found)
    return found  # type: ignore[return-value]


def wait_for(rig: TrainerRig, process: Forked, number: int) -> None:
    ends = time.monotonic() + 90
    while len(on_log(rig)) < number:
        assert process.poll() is None, (rig.folder / "eval.log").read_text()
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_kills_let_no_question_be_measured_twice(
    rig: TrainerRig, questions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one_by_one = words(rig, questions, "--task", "arc_easy", "--batch", "1")
    for number in (20, 90):
        process = started(rig, one_by_one)
        wait_for(rig, process, number)
        process.kill()
        assert process.wait(30) == -signal.SIGKILL
    before = len(on_log(rig))
    assert 90 <= before < QUESTIONS
    process = started(rig, one_by_one)
    wait_for(rig, process, before + 10)
    process.terminate()
    assert process.wait(60) == 130
    assert "Start the same command again" in (rig.folder / "eval.log").read_text()
    stopped = len(on_log(rig))
    assert stopped < QUESTIONS

    (summary,) = called(rig, one_by_one, monkeypatch, capsys)
    events = on_log(rig)
    assert len(events) == len(dict(events)) == QUESTIONS
    (count,) = summary["benchmarks"]
    assert (count["known"], count["measured"], summary["complete"]) == (stopped, QUESTIONS - stopped, True)
    assert summary["precision"] == "fp32"

    (again,) = called(rig, words(rig, questions, "--task", "arc_easy"), monkeypatch, capsys)
    assert len(on_log(rig)) == QUESTIONS
    assert (again["precision"], again["benchmarks"][0]["known"]) == (None, QUESTIONS)  # no model was loaded
    assert again["benchmarks"][0]["right"] == count["right"]


def test_what_is_on_the_log_is_the_question_and_its_verdict(
    rig: TrainerRig, questions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = ("--task", "arc_easy", "--task", f"held-out={questions / 'rows.json'}")
    (small,) = called(rig, words(rig, questions, *tasks, "--limit", "5"), monkeypatch, capsys)
    (large,) = called(rig, words(rig, questions, *tasks, "--limit", "9"), monkeypatch, capsys)
    assert [(each["known"], each["measured"]) for each in small["benchmarks"]] == [(0, 5), (0, 5)]
    assert [(each["known"], each["measured"]) for each in large["benchmarks"]] == [(5, 4), (5, 2)]
    events = [event for _, event in on_log(rig)]
    choices = [event for event in events if event.benchmark.name == "arc_easy"]
    assert {event.sample for event in choices} == {"5 questions, seed 0", "9 questions, seed 0"}
    for event in choices:
        number = int(event.question_id)
        assert (event.question, event.gold) == (f"Question: What is {number}?\nAnswer:", number % 3)
        assert event.choices == (f"{number}", f"not {number}", f"{number} or {number + 1}")
        assert event.tokens == tuple(len(choice) + 1 for choice in event.choices)  # bytes, with the space
        assert (event.chosen, event.chosen_per_character) == chosen(event.loglikelihoods, event.choices)
        assert (event.group, event.group_size, event.engine, event.precision) == ("", QUESTIONS, "direct", "fp32")
        assert event.model == identify(rig.model_folder, rig.model_folder.name)
    assert large["benchmarks"][0]["right"] == sum(event.chosen == event.gold for event in choices)
    texts = [event for event in events if event.benchmark.name == "held-out"]
    assert len(texts) == 7
    assert all(event.gold is None and len(event.loglikelihoods) == 1 for event in texts)
    loss = -sum(event.loglikelihoods[0] for event in texts) / sum(event.tokens[0] for event in texts)
    assert large["benchmarks"][1]["loss"] == pytest.approx(loss)
    assert len(measured_before(KafkaSource(rig.settings, rig.run))) == 16


def test_the_harness_measures_the_same_questions(
    rig: TrainerRig, questions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lm_eval", reason="the part [eval] is not installed")
    arguments = words(rig, questions, "--task", "arc_easy", "--limit", "3")
    (summary,) = called(rig, [*arguments, "--engine", "lm-eval"], monkeypatch, capsys)
    (again,) = called(rig, arguments, monkeypatch, capsys)
    assert (summary["engine"], summary["benchmarks"][0]["measured"]) == (f"lm-eval {version('lm-eval')}", 3)
    assert again["benchmarks"][0]["known"] == 3
    assert {event.engine for _, event in on_log(rig)} == {summary["engine"]}


def test_a_run_that_is_not_there_is_made_and_a_shortened_row_is_reported(
    rig: TrainerRig, questions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"instruction": "Count", "output": "one two " * 400}, {"instruction": "Say", "output": "So."}]
    (questions / "long.json").write_text(json.dumps(rows))
    run = f"{rig.run}-new"
    more = ("--task", f"held-out={questions / 'long.json'}", "--run", run)
    (summary,) = called(rig, words(rig, questions, *more), monkeypatch, capsys)
    assert (summary["run"], summary["cut"], summary["benchmarks"][0]["measured"]) == (run, 1, 2)
    assert len(measured_before(KafkaSource(rig.settings, run))) == 2


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("FOLDER",), 2, "is given twice"),
        (("--task", "boolq"), 2, "There is no task 'boolq'"),
        (("--task", "held-out"), 2, "needs a file of rows"),
        (("--step", "3"), 2, "--step is for the run's own model"),
        (("--precision", "int8"), 2, "precision"),
        (("--engine", "lm-eval", "--task", "held-out=rows.json"), 2, "by our own engine only"),
        (("endpoint:big", "--task", "arc_easy"), 2, "big has no weights here"),
    ],
)
def test_what_cannot_be_measured_is_said(
    rig: TrainerRig,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: Sequence[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", rig.settings.bootstrap_servers)
    monkeypatch.setenv("SEDI_STATE_DIR", str(rig.settings.state_dir))
    arguments = words(rig, questions, *(str(rig.model_folder) if word == "FOLDER" else word for word in more))
    if "--task" not in more:
        arguments += ["--task", "arc_easy", "--limit", "2"]
    assert main(arguments) == code
    assert message in capsys.readouterr().err
