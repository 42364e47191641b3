"""What the command line makes of its arguments, before anything is connected to."""

import socket
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from producers.backends.base import EndpointRefused
from schemas.errors import (
    BackendError,
    BrokerError,
    ClusterRefused,
    ConfigurationError,
    MalformedEvent,
    RunError,
    SediError,
    TooManyDeadLetters,
    TopicMismatch,
    TrainerError,
    UntrustedCheckpoint,
)
from schemas.policy import policy_for
from sedi.main import exit_code_of, main
from sedi.options import ExitCode, number_or_none
from sedi.run_options import RunOptions, planned_steps
from sedi.times import timestamp_ms
from sedi.train import _borrow_after

COMMANDS = (
    ["init"],
    ["run"],
    ["configure"],
    ["worker"],
    ["generate"],
    ["judge"],
    ["train"],
    ["status"],
    ["tail"],
    ["report"],
    ["doctor"],
    ["seeds", "list"],
    ["seeds", "history"],
    ["seeds", "import"],
    ["topics", "plan"],
    ["topics", "apply"],
    ["broker", "start"],
    ["broker", "stop"],
    ["broker", "status"],
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), ExitCode.USAGE),
        (BrokerError("x"), ExitCode.UNREACHABLE),
        (ClusterRefused("x"), ExitCode.REFUSED),
        (TopicMismatch("x"), ExitCode.FAILED),
        (RunError("x"), ExitCode.FAILED),
        (MalformedEvent("x"), ExitCode.FAILED),
        (BackendError("x"), ExitCode.FAILED),
        (EndpointRefused("x"), ExitCode.REFUSED),
        (TrainerError("x"), ExitCode.FAILED),
        (UntrustedCheckpoint("x"), ExitCode.REFUSED),
        (TooManyDeadLetters("x"), ExitCode.DEAD_LETTERS),
    ],
)
def test_each_error_has_its_exit_code(error: SediError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_its_exit_codes_and_json(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0

    shown = capsys.readouterr().out
    for part in ("Example:", "sedi ", "Exit codes:", "--json"):
        assert part in shown


def test_wrong_usage_is_told_on_standard_error_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--rum", "demo"]) == ExitCode.USAGE
    assert "No such option: --rum" in capsys.readouterr().err


def test_a_flag_that_takes_a_number_or_none_takes_nothing_else() -> None:
    assert number_or_none("--max-ahead", "320", int) == 320
    assert number_or_none("--borrow-after", "0.5", float) == 0.5
    assert number_or_none("--max-ahead", "none", int) is None
    with pytest.raises(ConfigurationError, match="--max-ahead takes a number or `none`; 'all' is neither"):
        number_or_none("--max-ahead", "all", int)


def test_a_live_training_borrows_after_half_a_minute_unless_it_is_told_otherwise() -> None:
    assert _borrow_after(None, live=True) == 30.0
    assert _borrow_after(None, live=False) is None
    assert _borrow_after("none", live=True) is None
    assert _borrow_after("3", live=False) == 3.0


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (RunOptions(), []),
        (RunOptions(trainer=False), ["--max-ahead", "none"]),
        (RunOptions(train=("--min-score", "4")), ["--max-ahead", "none"]),
        (RunOptions(train=("--min-score=4",)), ["--max-ahead", "none"]),
        (RunOptions(train=("--min-score=4",), generate=("--max-ahead", "5000")), []),
    ],
)
def test_a_runs_generator_waits_for_its_trainer_when_there_is_one_that_trains_every_row(
    options: RunOptions, arguments: list[str]
) -> None:
    assert options.ahead() == arguments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tail", "--where", "clutser=1"], "No event has a field 'clutser'"),
        (["tail", "--from", "yesterday"], "--from 'yesterday' is invalid"),
        (["tail", "--since", "soon"], "--since 'soon' is not a time"),
        (["tail", "--raw", "--json"], "--raw and --json were both given"),
        (["tail", "--since", "1h", "--from", "start"], "--since and --from were both given"),
        (["report", "--run", "No Good"], "Run name 'No Good' will not do"),
        (["topics", "plan", "--clusters", "12"], "clusters is 12"),
        (["seeds", "import", "/nowhere/seeds.jsonl"], "/nowhere/seeds.jsonl cannot be read"),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence_and_ends_with_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.USAGE

    told = capsys.readouterr()
    assert told.err.startswith("sedi: ")
    assert sentence in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    "command", (["report"], ["status"], ["tail"], ["seeds", "list"], ["topics", "plan"]), ids=" ".join
)
def test_without_a_broker_a_command_says_at_once_how_to_start_one_and_ends_with_3(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listened on: nobody else can take it meanwhile
        servers = f"127.0.0.1:{unused.getsockname()[1]}"

        assert main([*command, "--bootstrap-servers", servers]) == ExitCode.UNREACHABLE

    told = capsys.readouterr().err
    assert told.startswith(f"sedi: Nothing listens at {servers} (")
    assert told.endswith("). Start the local broker with `sedi broker start`, or set SEDI_BOOTSTRAP_SERVERS.\n")


def test_since_is_a_span_or_a_time() -> None:
    now = datetime(2026, 11, 21, 8, 0, tzinfo=UTC).timestamp()

    assert timestamp_ms("90s", now, "--since") == (now - 90) * 1000
    assert timestamp_ms("2h", now, "--since") == (now - 7200) * 1000
    assert timestamp_ms("2026-11-21T07:00:00+00:00", now, "--since") == (now - 3600) * 1000


def test_help_loads_nothing_heavy() -> None:
    heavy = ("kafka", "faust", "torch", "transformers", "pydantic_settings", "numpy", "openai", "psutil")
    program = (
        "import sys; from sedi.main import main; main(['--help']); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"windows": 3}, ["--planned-steps", "30"]),
        ({"max_kept": 1000}, ["--planned-steps", "62"]),
        ({"max_candidates": 1600, "train": ("--lr", "1e-5")}, ["--planned-steps", "100"]),
        ({"max_kept": 1000, "train": ("--max-steps", "5")}, []),
        ({"max_kept": 1000, "train": ("--planned-steps=7",)}, []),
        ({"max_usd": 5.0}, []),
        ({"max_kept": 3}, []),
    ],
)
def test_a_new_run_plans_the_steps_that_its_budget_makes_likely(options: dict[str, Any], wanted: list[str]) -> None:
    assert planned_steps(RunOptions(**options), policy_for()) == wanted
