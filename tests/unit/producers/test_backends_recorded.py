"""Recorded answers and injected faults depend on the call's place alone."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from infra.settings import Settings
from producers.backends.base import Answer, CallPlace, EndpointRefused, Message, Request, Transient
from producers.backends.choice import opened_backend
from producers.backends.recorded import Faults, RecordedBackend, RecordedOptions
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import Usage

REQUEST = Request(messages=(Message("user", "Hello?"),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    lines = [{"raw": f"answer {n} \u2028 {'x' * 30}"} for n in range(6)]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n", encoding="utf-8")
    return path


def place(number: int, step: int = 0, attempt: int = 1, lane: str = "main") -> CallPlace:
    return CallPlace(lane, number, step, attempt, ids.request_id(ids.generation_id(lane, number), step))


def answer(options: RecordedOptions, at: CallPlace) -> Answer:
    return asyncio.run(RecordedBackend(options).complete(REQUEST, at))


def test_a_call_gets_the_line_of_its_place_whenever_it_is_made(file: Path) -> None:
    backend = RecordedBackend(RecordedOptions(file))
    for number in (3, 0, 3, 5):
        assert asyncio.run(backend.complete(REQUEST, place(number))).raw.startswith(f"answer {number} \u2028")


def test_each_step_of_a_generation_has_its_own_line(file: Path) -> None:
    options = RecordedOptions(file, per_generation=3)
    raws = [answer(options, place(number, step)).raw[:8] for number in (0, 1) for step in (0, 1, 2)]
    assert raws == [f"answer {n}" for n in range(6)]


def test_beyond_the_end_a_call_is_refused_unless_the_file_loops(file: Path) -> None:
    with pytest.raises(EndpointRefused, match="holds 6 answers and generation 6 needs number 7"):
        answer(RecordedOptions(file), place(6))
    assert answer(RecordedOptions(file, loop=True), place(6)).raw == answer(RecordedOptions(file), place(0)).raw


def test_usage_and_finish_reason_are_as_recorded(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    file.write_text(json.dumps({"raw": "a", "finish_reason": "length", "usage": usage}), encoding="utf-8")
    found = answer(RecordedOptions(file), place(0))
    assert (found.finish_reason, found.usage) == ("length", Usage(prompt_tokens=2, completion_tokens=1))
    assert found.model == "answers.jsonl"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no recorded answer"),
        ('{"raw": "a"}\n{"row": "b"}', "line 2"),
        ("[", "line 1"),
        ('{"raw": "a", "usage": {"prompt_tokens": -1, "completion_tokens": 1}}', "line 1"),
    ],
)
def test_a_file_that_holds_something_else_will_not_do(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        RecordedBackend(RecordedOptions(file))


def test_a_file_that_is_not_there_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RecordedBackend(RecordedOptions(tmp_path / "none"))


def test_faults_come_in_their_shares_and_always_the_same() -> None:
    faults = Faults(time_out=0.1, rate_limited=0.1, server_error=0.1, cut=0.1, garbled=0.1)
    drawn = [faults.drawn(place(number).request_id, 1) for number in range(5000)]
    assert drawn == [faults.drawn(place(number).request_id, 1) for number in range(5000)]
    shares = Counter(drawn)
    assert all(400 < shares[name] < 600 for name in ("time_out", "rate_limited", "server_error", "cut", "garbled"))
    assert drawn != [faults.drawn(place(number).request_id, 2) for number in range(5000)]
    assert drawn != [Faults(time_out=0.5, seed=1).drawn(place(number).request_id, 1) for number in range(5000)]


@pytest.mark.parametrize(
    ("faults", "status"),
    [(Faults(time_out=1.0), None), (Faults(rate_limited=1.0), 429), (Faults(server_error=1.0), 500)],
)
def test_an_injected_failure_is_transient(file: Path, faults: Faults, status: int | None) -> None:
    with pytest.raises(Transient) as caught:
        answer(RecordedOptions(file, faults=faults), place(0))
    assert caught.value.status == status


def test_a_cut_answer_says_so_and_a_garbled_one_does_not(file: Path) -> None:
    whole = answer(RecordedOptions(file), place(0))
    cut = answer(RecordedOptions(file, faults=Faults(cut=1.0)), place(0))
    assert (cut.finish_reason, cut.raw) == ("length", whole.raw[: len(whole.raw) // 2])
    garbled = answer(RecordedOptions(file, faults=Faults(garbled=1.0)), place(0))
    assert garbled.finish_reason == "stop"
    assert len(garbled.raw) == len(whole.raw)
    assert garbled.raw != whole.raw


@pytest.mark.parametrize("shares", [{"cut": -0.1}, {"cut": 0.6, "garbled": 0.6}])
def test_shares_that_are_none_will_not_do(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="Fault shares"):
        Faults(**shares)


def test_recorded_answers_and_the_recorded_backend_go_together(file: Path) -> None:
    with opened_backend(Settings(backend="recorded"), RecordedOptions(file), 1) as backend:
        assert backend.name == "recorded"
    for settings, options in ((Settings(backend="recorded"), None), (Settings(), RecordedOptions(file))):
        with pytest.raises(ConfigurationError, match="--recorded FILE"), opened_backend(settings, options, 1):
            pytest.fail("it was opened")
