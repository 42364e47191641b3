"""An archive's events come as a tail of the run would show them."""

import json
from collections.abc import Callable

import pytest

from infra.log.archive import ArchiveSource
from infra.log.source import TOPICS
from sedi.main import main
from tests.golden import HERE

FOLDER = HERE / "undisturbed"
Lines = list[dict[str, object]]


@pytest.fixture
def tail(capsys: pytest.CaptureFixture[str]) -> Callable[..., Lines]:
    def lines(*arguments: str) -> Lines:
        assert main(["tail", "--from-files", str(FOLDER), "--json", *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return lines


def place(line: dict[str, object]) -> tuple[object, ...]:
    return line["topic"], line["partition"], line["offset"]


def test_every_event_comes_once_merged_by_time(tail: Callable[..., Lines]) -> None:
    with ArchiveSource(FOLDER).open(TOPICS) as reading:
        there = {(record.topic, record.partition, record.offset) for record in reading.rest()}
    found = tail()
    assert {place(line) for line in found} == there and len(found) == len(there)
    times = [line["timestamp_ms"] for line in found]
    assert times == sorted(times)  # type: ignore[type-var]
    at = [place(line) for line in found]
    assert at.index(("generated", 0, 0)) < at.index(("rejected", 0, 0))


def test_it_begins_and_ends_where_it_is_asked_to(tail: Callable[..., Lines]) -> None:
    everything = tail()
    kept = [line for line in everything if line["type"] == "InstructionKept"]
    assert tail("--type", "InstructionKept") == kept
    assert tail("--type", "InstructionKept", "--count", "3") == kept[:3]
    assert tail("--last", "4") == everything[-4:]
    assert tail("--last", "2", "--topic", "kept") == kept[-2:]
    assert tail("--topic", "kept", "--where", "cluster=1") == [line for line in kept if line["partition"] == 1]
    assert tail("--from", "end") == []
    assert {line["offset"] for line in tail("--topic", "rejected", "--from", "30")} == {30, 31}
    assert tail("--since", "2099-01-01") == [] and tail("--since", "2000-01-01") == everything


def test_a_bookmark_is_for_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "--from-files", str(FOLDER), "--resume", "here"]) == 2
    assert "--resume is for a run on a cluster" in capsys.readouterr().err
