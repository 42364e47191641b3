"""Fetching Kafka's jars: with a Maven that is missing, fails, is interrupted or delivers something else."""

import hashlib
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from infra.local_broker import jars
from infra.local_broker.jars import FILES, KAFKA_VERSION, digests, fetch, is_fetched, lib_dir
from infra.settings import Settings
from schemas.errors import BrokerError

JARS = {"kafka.jar": b"the broker", "client.jar": b"the client"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", state_dir=tmp_path / "var")


@pytest.fixture
def expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect two small jars instead of Kafka's."""
    (tmp_path / "node").mkdir()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in JARS.items()}
    (tmp_path / "node" / "jars.json").write_text(json.dumps(sums))
    monkeypatch.setattr(jars, "FILES", tmp_path / "node")


def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called mvn first on PATH; in it, $out is its output folder."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "mvn"
    program.write_text(
        '#!/bin/sh\nfor a in "$@"; do case "$a" in -DoutputDirectory=*) out="${a#*=}";; esac; done\n' + script
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


GOOD = 'mkdir -p "$out"; printf "the broker" > "$out/kafka.jar"; printf "the client" > "$out/client.jar"\n'


def test_the_pom_names_the_version_that_the_code_does() -> None:
    pom = ET.parse(FILES / "pom.xml")
    space = "{http://maven.apache.org/POM/4.0.0}"
    versions = {d.findtext(f"{space}artifactId"): d.findtext(f"{space}version") for d in pom.iter(f"{space}dependency")}

    assert versions["kafka_2.13"] == KAFKA_VERSION
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in digests()


@pytest.mark.usefixtures("expected")
def test_what_maven_delivers_is_put_in_place_whole(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(tmp_path, monkeypatch, GOOD)
    reports: list[str] = []

    lib = fetch(settings, reports.append)

    assert {file.name: file.read_bytes() for file in lib.iterdir()} == JARS
    assert len(reports) == 1


@pytest.mark.usefixtures("expected")
def test_what_is_there_is_not_fetched_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(tmp_path, monkeypatch, GOOD)
    fetch(settings)
    monkeypatch.setenv("PATH", "")

    assert fetch(settings) == lib_dir(settings)


@pytest.mark.usefixtures("expected")
def test_a_fetch_that_was_interrupted_is_done_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = lib_dir(settings).parent / "fetching-abc" / "lib"
    leftover.mkdir(parents=True)
    (leftover / "kafka.jar").write_bytes(b"the bro")
    assert not is_fetched(settings)
    maven(tmp_path, monkeypatch, GOOD)

    fetch(settings)

    assert is_fetched(settings)
    assert not leftover.exists()


@pytest.mark.usefixtures("expected")
def test_a_jar_that_is_not_the_expected_one_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(tmp_path, monkeypatch, GOOD + 'printf "something else" > "$out/client.jar"\n')

    with pytest.raises(BrokerError, match=r"client\.jar is not the expected one"):
        fetch(settings)

    assert not is_fetched(settings)
    assert not list(lib_dir(settings).parent.glob("fetching-*"))


@pytest.mark.usefixtures("expected")
def test_when_maven_fails_its_error_is_shown_without_passwords(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(tmp_path, monkeypatch, "echo '[ERROR] no answer from https://me:hunter2@mirror.invalid/x'; exit 1\n")

    with pytest.raises(BrokerError) as caught:
        fetch(settings)

    assert "no answer from https://mirror.invalid/x" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_without_maven_the_error_says_how_to_get_it_and_how_to_do_without(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(BrokerError, match=r"apt-get install maven.*SEDI_BOOTSTRAP_SERVERS"):
        fetch(settings)


def test_a_cache_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")

    with pytest.raises(BrokerError, match="SEDI_CACHE_DIR"):
        fetch(Settings(cache_dir=tmp_path / "cache"))


def test_a_cache_whose_name_java_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="SEDI_CACHE_DIR"):
        fetch(Settings(cache_dir=tmp_path / "a:b"))
