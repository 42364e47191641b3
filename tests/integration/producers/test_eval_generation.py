"""`sedi eval generation` on a real cluster: answers are events first, and their scores follow from the log alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from consumers.evaluation.generation import generation_scores
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import KafkaSource
from schemas.events import CallStarted
from sedi.main import main
from tests.integration.producers.evaluation_driver import EvaluationRig
from tests.unit.trainer.tiny import save_tiny

TASK: dict[str, Any] = {
    "Categories": ["Colours"],
    "Definition": ["Name the colour."],
    "Positive Examples": [{"input": "Of snow.", "output": "White."}, {"input": "Of coal.", "output": "Black."}],
    "Instances": [{"id": f"c{n}", "input": f"Of thing {n}.", "output": [f"It is colour {n}", "No"]} for n in range(4)],
}
EARLY: dict[str, Any] = {
    "Categories": "Sums",
    "Definition": "Add.",
    "Positive Examples": TASK["Positive Examples"],
    "Instances": [{"input": "1 + 1", "output": "The sum is 2"}, {"input": "2 + 3", "output": "The sum is 5"}],
}


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> EvaluationRig:
    made = EvaluationRig(broker.settings, run, tmp_path)
    made.configure()
    return made


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "task1_colours.test.json").write_text(json.dumps(TASK))
    (folder / "task2_sums.json").write_text(json.dumps(EARLY))
    return folder


def called(rig: EvaluationRig, *arguments: str) -> list[str]:
    cluster = ["--bootstrap-servers", rig.settings.bootstrap_servers, "--state-dir", str(rig.settings.state_dir)]
    return ["eval", "generation", *arguments, "--run", rig.run, *cluster]


def test_recorded_answers_are_scored_and_a_second_start_asks_only_what_is_left(
    rig: EvaluationRig, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raws = ["It is the colour 0", "Colours, 1", "", "No idea at all", "The sums are 2", "5"]
    file = str(rig.recorded(raws).file)
    asked = ["tried=endpoint:some-model", "--task", f"superni={tasks}", "--shots", "2", "--recorded", file]
    assert main(called(rig, *asked, "--max-calls", "4", "--json")) == 0
    printed = capsys.readouterr()
    (some,) = json.loads(printed.out)["answers"]
    assert (some["calls"], some["missing"], some["complete"]) == (4, 2, False)
    assert "2 prompts are not answered" in printed.err

    assert main(called(rig, *asked, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answers"][0]["calls"], found["answers"][0]["complete"]) == (2, True)
    (score,) = found["scores"]
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    outputs = [each["output"] for each in (*TASK["Instances"], *EARLY["Instances"])]
    best = [
        max(scorer.score(each, raw)["rougeL"].fmeasure for each in (given if isinstance(given, list) else [given]))
        for raw, given in zip(raws, outputs, strict=True)
    ]
    assert (score["scored"], score["shots"], score["outcomes"]) == (6, 2, {"answered": 5, "empty": 1})
    assert score["rouge_l"]["value"] == pytest.approx(sum(best) / 6)
    assert score["by_group"] == {
        "Colours": [4, pytest.approx(sum(best[:4]) / 4)],
        "Sums": [2, pytest.approx(sum(best[4:]) / 2)],
    }
    events = rig.given()
    assert [event.prompt_id for event in events] == ["c0", "c1", "c2", "c3", "task2_sums-1", "task2_sums-2"]
    assert all(event.instruction.count("Input: ") == 2 for event in events)

    assert main(called(rig, *asked)) == 0
    shown = capsys.readouterr().out
    assert "Colours" in shown
    assert f"{100 * sum(best) / 6:.1f} (" in shown
    assert "METEOR matches words: exact, stem" in shown
    assert len(rig.events("calls", CallStarted)) == 6, "nothing was asked twice"


def test_a_model_on_this_machine_answers_each_set_and_other_models_are_left_out(
    rig: EvaluationRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny(tmp_path / "tiny")
    capsys.readouterr()  # saving imports what prints
    long = rig.lines([{"input": "Describe fog.", "output": "Fog is a cloud.", "source": "C4"}] * 2, "long.jsonl")
    rows = rig.lines([{"instruction": f"Say {n}.", "output": f"{n}"} for n in range(3)], "rows.jsonl")
    tasks = ["--task", f"longform={long}", "--task", f"user-oriented={rows}", "--call-max-tokens", "4"]
    assert main(called(rig, str(folder), *tasks, "--limit", "1", "--json")) == 0
    few = json.loads(capsys.readouterr().out)["answers"]
    assert [(each["set"], each["calls"]) for each in few] == [("longform", 1), ("user-oriented", 1)]
    assert main(called(rig, f"again={folder}", str(folder), *tasks, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["calls"] for each in found["answers"]] == [2, 3, 1, 2], "a larger part goes on from a smaller one"
    assert [(score["set"], score["scored"]) for score in found["scores"]].count(("user-oriented", 3)) == 2

    assert main(called(rig, str(folder), *tasks, "--json")) == 0
    alone = json.loads(capsys.readouterr().out)["scores"]
    assert [score["set"] for score in alone] == ["longform", "user-oriented"]
    on_log = generation_scores(KafkaSource(rig.settings, rig.run))
    assert len(on_log) == 4
    assert [score.model for score in on_log[:2]] == [score["model"] for score in alone]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "superni"], "names no task"),
        (["--task", "rows={rows}"], "has an output"),
        (["--task", "superni={empty}"], "holds no task files"),
        (["--task", "longform={long}", "--task", "longform={long}"], "named 'longform'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_asked(
    rig: EvaluationRig, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rig.lines([{"instruction": "Say it."}], "rows.jsonl")
    (tmp_path / "empty").mkdir()
    long = rig.lines([{"input": "Say it.", "output": "It."}], "long.jsonl")
    given = [each.format(rows=rows, long=long, empty=tmp_path / "empty") for each in arguments]
    assert main(called(rig, "endpoint:some-model", *given)) == 2
    assert message in capsys.readouterr().err
    assert rig.given() == []
