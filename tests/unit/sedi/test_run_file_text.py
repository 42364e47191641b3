"""`sedi init` writes every field, at its default, and what it writes is the run that it says."""

import json
import re
import socket
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.trainer.options import TrainOptions
from infra.settings import Settings
from schemas.policy import Policy
from sedi.main import main
from sedi.options import ExitCode
from sedi.run_file.checks import TRAIN_NAMES
from sedi.run_file.fields import COMMANDS, NOT_HERE, SECTIONS, command_of, fields, secrets
from sedi.run_file.plan import RunPlan, RunRequest, plan_run, values_of
from sedi.run_file.text import run_file_text, shipped_presets
from sedi.run_file.values import parsed
from sedi.run_options import RunOptions, policy_of

PRESETS = [None, *shipped_presets()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEDI_{name.upper()}", raising=False)
    monkeypatch.delenv("SEDI_RUN", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def meaning(plan: RunPlan) -> dict[str, Any]:
    """Everything that a plan comes to, however it was said; the run's name aside."""
    options = plan.options
    top = {name: getattr(options, name) for name in RunOptions.__struct_fields__ if name not in ("run", *SECTIONS)}
    parts = {section: parsed(section, getattr(options, section))[0] for section in COMMANDS}
    return {**top, **parts, "policy": policy_of(options), "settings": plan.settings.model_dump()}


def uncommented(text: str) -> str:
    """The file with every field that has a default set to it."""
    return re.sub(r"(?m)^# ([a-z_0-9]+ = \S)", r"\1", text)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_written_is_the_preset_or_the_defaults(preset: str | None) -> None:
    assert main(["init", "mine.toml", *(["--preset", preset] if preset else [])]) == 0

    written = plan_run(RunRequest(file="mine.toml"))

    assert meaning(written) == meaning(plan_run(RunRequest(preset=preset)))
    assert written.run == "mine" and written.hints == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_defaults_that_are_shown_are_those_that_hold(preset: str | None) -> None:
    text = uncommented(run_file_text(values_of(RunRequest(preset=preset))))
    set_fields = sum(len(value) if isinstance(value, dict) else 1 for value in tomllib.loads(text).values())
    assert set_fields > sum(one.default is not None for one in fields().values()) - 3
    Path("all.toml").write_text(text, encoding="utf-8")

    assert meaning(plan_run(RunRequest(file="all.toml"))) == meaning(plan_run(RunRequest(preset=preset)))


def test_every_field_of_every_place_that_defines_one_is_written_with_a_sentence_and_what_it_takes() -> None:
    text = run_file_text({})
    sections = dict(zip(["", *re.findall(r"(?m)^\[(\w+)\]$", text)], re.split(r"(?m)^\[\w+\]$", text), strict=True))
    assert list(sections) == list(SECTIONS)
    wanted = {
        "": set(RunOptions.__struct_fields__) - set(SECTIONS),
        "policy": set(Policy.__struct_fields__),
        "settings": set(Settings.model_fields) - secrets(),
        **{
            section: {p.opts[0].removeprefix("--").replace("-", "_") for p in command_of(section).params}
            - {name for part, name in NOT_HERE if part == section}
            for section in COMMANDS
        },
    }
    for section, names in wanted.items():
        blocks = re.findall(r"((?:^# .*\n)+)^# ([a-z_0-9]+) =", sections[section], re.MULTILINE)
        assert sorted(name for _, name in blocks) == sorted(names), section
        for about, name in blocks:
            assert re.search(r"\w{2,}.*\.\n# (A|An|One|True)\b", about), (section, name, about)
            assert "Default " in about or "Not set." in about, (section, name)
    assert max(len(line) for line in text.split("\n") if not line.startswith("# rules =")) <= 120


def test_fields_that_are_left_out_exist_and_flags_of_the_trainer_become_its_options() -> None:
    for section, name in NOT_HERE:
        assert name in {p.opts[0].removeprefix("--").replace("-", "_") for p in command_of(section).params}
    options = set(TrainOptions.__dataclass_fields__)
    unknown = {TRAIN_NAMES.get(p.name, p.name) for p in command_of("train").params} - options
    assert unknown == {"processes", "as_json", "bootstrap_servers", "state_dir", "metrics_port"}


def test_a_file_is_not_overwritten_unless_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text("windows = 3\n", encoding="utf-8")
    assert main(["init", "mine.toml"]) == ExitCode.USAGE
    assert "mine.toml is there. Choose another name, or overwrite it with --force." in capsys.readouterr().err
    assert Path("mine.toml").read_text(encoding="utf-8") == "windows = 3\n"
    assert main(["init", "mine.toml", "--force"]) == 0
    assert "[policy]" in Path("mine.toml").read_text(encoding="utf-8")
    assert main(["init", "sedi.toml"]) == ExitCode.USAGE and not Path("sedi.toml").exists()
    assert main(["init", "no/folder.toml"]) == ExitCode.USAGE


def test_a_dash_prints_and_json_says_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "-"]) == 0
    assert capsys.readouterr().out == run_file_text({}, "FILE")
    assert not list(Path.cwd().iterdir())
    assert main(["init", "My Run.toml", "--preset", "demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "My Run.toml", "run": "my-run", "preset": "demo"}
    assert main(["init", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == run_file_text({}, "FILE")


def test_a_preset_of_ones_own_in_the_older_form_becomes_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.toml").write_text('windows = 3\ntrain = ["--lr", "1e-3", "--no-tensorboard"]\n', encoding="utf-8")
    assert main(["init", "--preset", "old.toml", "new.toml"]) == 0
    text = Path("new.toml").read_text(encoding="utf-8")
    assert {"windows = 3", "lr = 0.001", "tensorboard = false"} < set(text.split("\n"))


@pytest.mark.parametrize("command", ["run", "configure"])
def test_a_wrong_file_ends_with_2_and_nothing_is_started(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.toml").write_text("[trian]\n[policy]\nclusters = 12\n", encoding="utf-8")
    assert main([command, "mine.toml"]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.err.startswith("sedi: 2 mistakes, and nothing was started:\n  mine.toml:1:2: ") and not shown.out
    assert [path.name for path in folder.iterdir()] == ["mine.toml"]


def test_a_file_is_checked_and_its_parts_are_shown_without_a_start(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--preset", "demo", "mine.toml"]) == 0
    capsys.readouterr()
    arguments = ["run", "mine.toml", "--check", "--set", "train.precision=fp32", "--set", "settings.broker_heap_mb=300"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == "mine" and msgspec.convert(found["policy"], Policy).clusters == 4
    assert [part.split()[:3] for part in found["parts"]] == [
        ["SEDI_BROKER_HEAP_MB=300", "sedi", part] for part in ("worker", "generate", "train")
    ]
    assert "--precision fp32" in found["parts"][2]
    assert main(arguments) == 0
    assert "Run mine can start" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["mine.toml"]


def test_the_hint_of_the_older_form_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--check", "--generate", "--style", "--generate", "alpaca"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("--generate goes on working. The same: --set generate.style=alpaca")
    assert shown.err.count("\n") == 1 and "--style alpaca" in shown.out


def test_the_cluster_of_a_file_is_asked_and_not_that_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{unused.getsockname()[1]}"
        Path("mine.toml").write_text(f'[settings]\nbootstrap_servers = "{servers}"\n', encoding="utf-8")
        assert main(["configure", "mine.toml"]) == ExitCode.UNREACHABLE
    assert f"Nothing listens at {servers}" in capsys.readouterr().err
