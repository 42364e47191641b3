"""What a run that was only configured is to be started with."""

from pathlib import Path

import pytest

from schemas.policy import Policy, policy_for
from sedi.configure import commands_to_start
from sedi.main import main
from sedi.run_file.plan import RunRequest, plan_run
from sedi.run_options import RunOptions


def test_each_part_is_named_with_what_the_preset_says_of_it() -> None:
    options = RunOptions(run="mine", max_kept=500, generate=("--style", "two-step"), train=("--model", "./my model"))
    where = "--run mine --bootstrap-servers host:9092 --state-dir 'the state'"
    assert commands_to_start(options, Policy(), "host:9092", Path("the state")) == [
        f"sedi worker {where}",
        f"sedi generate {where} --max-kept 500 --style two-step",
        f"sedi train {where} --model './my model'",
    ]


def test_an_answerer_asks_the_llm_that_lists_within_the_runs_budgets() -> None:
    options = RunOptions(
        trainer=False,
        max_usd=5.0,
        generate=("--style", "self-instruct", "--model", "big", "--asked", "9", "--temperature", "0.5", "--rpm", "60"),
        answerer=("--in-flight", "8", "--model", "small"),
    )
    answerer = commands_to_start(options, policy_for(answer="kept"))[-1]
    assert answerer == (
        "sedi answer --run demo --max-usd 5.0 --style self-instruct --temperature 0.5 --rpm 60 --in-flight 8 "
        "--model small"
    )


def test_the_baselines_generator_asks_as_the_baseline_does() -> None:
    _, generate, _ = commands_to_start(plan_run(RunRequest(preset="self-instruct")).options, Policy())
    assert generate == "sedi generate --run demo --style self-instruct"


def test_a_judge_is_started_with_the_runs_budgets_and_no_trainer_where_none_is_wanted() -> None:
    options = RunOptions(trainer=False, judging=True, max_usd=5.0, max_calls=9, judge=("--max-calls", "3"))
    assert commands_to_start(
        options, Policy(), variables={"SEDI_BASE_URL": "http://host:1/v1", "SEDI_MODEL": "a b"}
    ) == [
        f"SEDI_BASE_URL=http://host:1/v1 SEDI_MODEL='a b' sedi {part}"
        for part in (
            "worker --run demo",
            "generate --run demo --max-calls 9 --max-usd 5.0 --max-ahead none",
            "judge --run demo --max-usd 5.0 --max-calls 3",
        )
    ]


def test_a_check_passes_on_where_the_cluster_and_the_state_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--check", "--run", "mine", "--bootstrap-servers", "h:1", "--state-dir", "q"]) == 0
    assert "  sedi worker --run mine --bootstrap-servers h:1 --state-dir q\n" in capsys.readouterr().out


def test_the_command_after_init_can_be_pasted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "we ird.toml"]) == 0
    assert capsys.readouterr().out.endswith("then: sedi run 'we ird.toml'\n")


def test_the_older_name_of_a_flag_is_not_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "plan", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--clusters" in shown and "--batch-size" not in shown
