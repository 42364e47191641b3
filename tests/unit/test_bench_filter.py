"""What `make bench filter` compares: the same decisions in each process, and shares of processor time that add up."""

import time
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from benchmarks.cpu_parts import CpuParts, shares
from benchmarks.filter import Filters, Side, Size
from benchmarks.filter_latency import Latency
from benchmarks.filter_readers import Read
from benchmarks.filter_sides import Job, _decided
from benchmarks.filter_tables import document, show
from schemas import ids
from schemas.envelope import Meta, decode, encode
from schemas.events import InstructionKept, InstructionsRejected
from schemas.policy import policy_for
from streams.core import decider
from streams.core.similarity.index import RougeLIndex
from tests.unit.core.conftest import configured, first_classifier, generation


def test_the_application_of_the_other_framework_decides_as_the_worker_does() -> None:
    run = configured(policy_for(clusters=4, batch_size=4))
    states = [
        decider.use_classifier(decider.initial_state(run), first_classifier(run.policy, run.seeds)) for _ in range(2)
    ]
    for number in range(12):
        event = generation(number, [f"Name {word} of the {number % 11} towns" for word in ("one", "two", "one")])
        id = ids.generation_id(event.lane, number)
        key, value, headers = encode(event, id, Meta(id, "/sedi/t/generator", "2026-01-01T00:00:00Z"))
        stored, *outputs = _decided(states[1], number, 0, key, value, headers, "/sedi/t/quix")
        verdict = decider.decide(states[0], number, id, event)
        decider.apply(states[0], verdict.decision)
        if (due := decider.due_classifier(states[0])) is not None:
            decider.use_classifier(states[0], due)
        assert stored.value == msgspec.json.encode(verdict.decision)
        events = [decode(output.key, output.value, output.headers).event for output in outputs]
        assert [event for event in events if isinstance(event, InstructionKept)] == list(verdict.decision.kept)
        assert [event for event in events if isinstance(event, InstructionsRejected)] == [verdict.rejected]
        assert sum(output.topic == "run" for output in outputs) == (due is not None)
    assert states[0].kept == states[1].kept
    assert 0 < len(states[0].kept) < states[0].generated_total
    assert states[0].fits > 0


def test_processor_time_goes_to_the_part_whose_code_took_it(tmp_path: Path) -> None:
    index = RougeLIndex(0.0)
    for number in range(300):
        index.add(str(number), f"name {number} rivers of the north and {number % 7} towns")
    file, began = tmp_path / "parts.json", time.time()
    with CpuParts(file):
        until = time.process_time() + 0.4
        while time.process_time() < until:
            index.nearest_above("name some rivers of the south and 5 towns")
    found = shares(file, began, time.time())
    assert next(iter(found)) == "compare"
    assert found["compare"] > 0.5
    assert sum(found.values()) == pytest.approx(1.0)
    assert shares(file, began - 2.0, began - 1.0) == {}


def test_ratios_are_of_the_speeds_and_everything_is_shown() -> None:
    def side(name: str, seconds: float) -> Side:
        return Side(name, 1_000, seconds, 3.0, seconds, 300.0, 310.0, {"compare": 0.7, "encode": 0.3})

    size = Size(
        kept=10_000,
        kept_after=10_700,
        sides=(side("worker", 0.1), side("quix", 0.2), side("bare", 0.05)),
        recovery_s={"without": 7.5, "with": 6.5},
        latency=Latency(10.0, 600, 8.0, 41.5, 60.0),
    )
    found = Filters(1_000, 88, (size,), (Read("replay, 1 process", 1_000, 0.5, 0.4),))
    assert document(found)["speeds"] == [
        {
            "kept": 10_000,
            "instructions_a_second": {"worker": 10_000.0, "quix": 5_000.0, "bare": 20_000.0},
            "ratios": {"quix": 2.0, "bare": 0.5},
        }
    ]
    console = Console(file=StringIO(), width=140)
    show(console, found)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("10,000", "2.00", "0.50", "70.0%", "41.5", "7.5", "6.5", "2,500", "cores"):
        assert shown in text


def test_a_job_is_the_same_after_its_way_into_a_process() -> None:
    job = Job("kept0", 3, 8.4, 512, 190, "parts.json")
    assert Job(**msgspec.json.decode(job.text())) == job
