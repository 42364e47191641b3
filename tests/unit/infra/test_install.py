"""The compiled core is built where that is possible; where it is not, the set-up says so in a line and goes on."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra import install


def test_without_cargo_nothing_is_built(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be run"))

    assert install.native_core() == 0

    assert capsys.readouterr().out.splitlines() == [
        "The decision runs in Python: there is no cargo to build the faster compiled core with"
    ]


@pytest.mark.parametrize("returncode", [0, 1])
def test_a_build_that_fails_leaves_its_log_and_is_no_failure(
    returncode: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str], **how: Any) -> SimpleNamespace:
        asked.append(command)
        assert how["env"]["PATH"].startswith(str(install.VENV / "bin"))  # where maturin is
        return SimpleNamespace(returncode=returncode, stdout="", stderr="error: linker `cc` not found")

    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install.shutil, "which", lambda name: "/usr/bin/cargo")
    monkeypatch.setattr(install.subprocess, "run", run)

    assert install.native_core() == 0

    assert "--no-build-isolation" in asked[0] and asked[0][-1] == "./native"
    said = capsys.readouterr().out
    assert ("could not be built (build/native.log says why)" in said) == bool(returncode)
    assert (tmp_path / "build" / "native.log").exists() == bool(returncode)


def test_no_file_of_the_crate_says_where_packages_are_fetched_from() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "native"], cwd=install.ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "native/Cargo.toml" in tracked
    assert not [name for name in tracked if "://" in (install.ROOT / name).read_text(encoding="utf-8")]
