"""A run started from Python: its configuration as a file, and how its end comes back."""

import tomllib
from pathlib import Path

import pytest

import sedi
from schemas.errors import ConfigurationError
from sedi.api.running import given, toml


def test_a_mapping_becomes_the_file_that_says_the_same() -> None:
    config = {
        "seeds": 'a "quoted"\n\\ 🦀 \x7f\x01 name',
        "max_kept": 10,
        "fit_s": 1.5,
        "max_usd": 1e-07,
        "trainer": False,
        "generate": ["--style", "two-step"],
        "policy": {"threshold": 0.8, "rules": ("too_short",), "metric": None},
        "windows": None,
        "train": {"output": Path("models")},
    }
    read = tomllib.loads("".join(f"{key} = {toml(value)}\n" for key, value in given(config)))
    assert read == {
        **{name: config[name] for name in ("seeds", "max_kept", "fit_s", "max_usd", "trainer", "generate")},
        "policy": {"threshold": 0.8, "rules": ["too_short"]},
        "train": {"output": "models"},
    }


def test_what_no_file_can_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot hold"):
        sedi.run({"max_kept": object()})


def test_a_wrong_configuration_raises_what_the_command_says(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(ConfigurationError, match="max_keept") as raised:
        sedi.run({"max_keept": 5}, state_dir=tmp_path, say=lines.append)
    assert lines[-1] == f"sedi: {raised.value}"
    with pytest.raises(ConfigurationError, match="Run name"):
        sedi.run("demo", run="No Name", state_dir=tmp_path, say=lines.append)
