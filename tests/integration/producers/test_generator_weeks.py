"""A long-running generator: stopped and killed repeatedly, quick to start, halted when it spends without yield."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.endpoint import endpoint
from infra.local_broker.temporary_broker import TemporaryBroker
from producers.backends.recorded import RecordedOptions
from producers.calls.limits import Limits
from producers.calls.rate_control import RateOptions
from producers.generate.generator import GenerateOptions
from producers.generate.progress_reader import CODE, lane_snapshot
from producers.generate.stall_guard import StallGuard
from schemas import ids
from schemas.events import CallAnswered, CallStarted, GenerationHalted, InstructionsRejected, RunConfigured
from tests.integration.producers.driver import Rig

ENDS = 12
LANES = ("one", "two")


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    values = {**broker.settings.model_dump(), "backend": "recorded", "max_filter_lag": 100_000, "model": "mock"}
    rig = Rig(type(broker.settings)(**values), run, tmp_path)
    rig.configure()
    yield rig


def decide(rig: Rig, offset: int, generated_total: int, kept_total: int) -> None:
    event = InstructionsRejected(
        generation_id="g",
        generated_offset=offset,
        rejections=(),
        generated=2,
        kept=0,
        generated_total=generated_total,
        kept_total=kept_total,
    )
    with rig.writer() as writer:
        writer.write(event, key="g", id=ids.verdict_id(offset))


def test_after_a_dozen_stops_and_kills_the_ledger_tells_of_every_answer_that_the_endpoint_gave(rig: Rig) -> None:
    rng = random.Random(5)
    with endpoint(0.05) as served:
        settings = rig.settings.model_copy(update={"backend": "openai", "base_url": served.url})
        rig = Rig(type(settings)(**settings.model_dump()), rig.run, rig.folder)
        rigs = {lane: Rig(rig.settings, rig.run, rig.folder / lane) for lane in LANES}
        for each in rigs.values():
            each.folder.mkdir()

        def options(lane: str, generations: int | None) -> GenerateOptions:
            limits = Limits(max_generations=generations)
            return GenerateOptions(run=rig.run, lane=lane, concurrency=16, in_flight=8, limits=limits)

        for number in range(ENDS // len(LANES)):
            before, given = rig.ledger(), len(served.stats()["given"])
            processes = [each.start(options(lane, None)) for lane, each in rigs.items()]
            rig.wait_for("calls", len(rig.records("calls")) + rng.randrange(1, 120))
            how = ("drained", "ended at once", "killed")[number % 3]
            for process in processes:
                time.sleep(rng.uniform(0.0, 0.05))
                process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
                if how == "ended at once":
                    process.send_signal(signal.SIGTERM)
            codes = {process.wait(90) for process in processes}
            if how == "killed":
                assert codes == {-signal.SIGKILL}
            else:  # one of them may not have come so far as to heed signals
                assert 0 in codes
                assert codes <= {0, -signal.SIGTERM}
            after = rig.ledger()
            assert after.started == after.answered + after.failed + after.lost + after.open
            if how == "drained" and codes == {0}:
                assert after.open == before.open - (after.lost - before.lost), "all that was begun has ended"
                assert len(served.stats()["given"]) - given == after.answered - before.answered
        begun = dict.fromkeys(LANES, 0)
        for event in rig.events("calls", CallStarted):
            begun[event.lane] = max(begun[event.lane], event.number + 1)
        for lane in LANES:
            others = sum(1 for event in rig.generations() if event.lane != lane)
            assert rig.generate(options(lane, begun[lane] + others)).unfinished == 0
        stats = served.stats()

    ledger, answers = rig.ledger(), rig.events("calls", CallAnswered)
    serials = [int(event.raw.split("thing ")[1].split(" ")[0]) for event in answers]
    assert len(serials) == len(set(serials)) == ledger.answered
    assert set(serials) <= set(stats["given"])
    assert (ledger.open, ledger.failed, ledger.repeated) == (0, 0, 0)
    assert ledger.started == ledger.answered + ledger.lost
    assert stats["received"] <= ledger.started, "no call was made that is not on the ledger"
    assert len(set(stats["given"]) - set(serials)) <= ledger.lost, "answers that nobody has are counted as lost"
    assert ledger.lost <= ENDS * 8
    generations = rig.generations()
    for lane in LANES:
        numbers = [generation.number for generation in generations if generation.lane == lane]
        assert numbers == list(range(begun[lane])), "no gap, none twice"
    assert {answer.request_id for each in generations for answer in each.answers} == {a.request_id for a in answers}


def test_two_generators_share_one_budget(rig: Rig) -> None:
    with endpoint(0.1, faults=0.3) as served:
        settings = rig.settings.model_copy(update={"backend": "openai", "base_url": served.url})
        rig = Rig(type(settings)(**settings.model_dump()), rig.run, rig.folder)
        limits = Limits(max_calls=60)
        rate = RateOptions(start=4, step=4.0)
        other = Rig(rig.settings, rig.run, rig.folder / "other")
        other.folder.mkdir()
        processes = [
            each.start(GenerateOptions(run=rig.run, lane=lane, concurrency=32, in_flight=16, limits=limits, rate=rate))
            for each, lane in ((rig, "one"), (other, "two"))
        ]
        assert [process.wait(60) for process in processes] == [0, 0]
        received = served.stats()["received"]
    ledger = rig.ledger()
    assert 60 <= ledger.started <= 61, "beyond it at most one call, begun in the same moment as another"
    assert received == ledger.started
    assert (ledger.lost, ledger.open) == (0, 0)


def test_the_next_start_reads_on_from_where_the_last_one_ended_unless_its_snapshot_does_not_fit(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(100))

    def start(generations: int) -> int:
        limits = Limits(max_generations=generations)
        return rig.generate(GenerateOptions(run=rig.run, recorded=recorded, limits=limits, concurrency=4)).read_at_start

    assert start(20) == 0
    assert start(30) == 0, "60 records are not read again"
    (configured,) = rig.events("run", RunConfigured)
    file = lane_snapshot(rig.settings, configured, "main", "generator", *CODE, made_for=200)
    found = file.read()
    assert found is not None
    calls = found.covered["calls", 0]
    assert calls.last == 59

    file.write(found.covered | {calls.place: msgspec.structs.replace(calls, digest="0" * 64)}, found.state)
    assert start(35) == 90, "another log: read whole"
    file.write(found.covered | {calls.place: msgspec.structs.replace(calls, last=9_999)}, found.state)
    assert start(40) == 105
    file.path.unlink()
    assert start(45) == 120
    assert [generation.number for generation in rig.generations()] == list(range(45))
    assert rig.ledger().started == 45


def test_a_lane_that_only_spends_is_halted_on_record_and_goes_on_with_another_floor(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(100))

    def start(floor: float, generations: int) -> GenerateOptions:
        guard, limits = StallGuard(min_yield=floor, window=3), Limits(max_generations=generations)
        return GenerateOptions(run=rig.run, recorded=recorded, limits=limits, guard=guard)

    rig.generate(start(0.5, 4))
    for offset, kept_total in enumerate((2, 2, 3, 3)):
        decide(rig, offset, 2 * (offset + 1), kept_total)
    halted = rig.generate(start(0.5, 10))
    assert halted.stalled is not None
    assert (halted.generations, halted.stalled.rule) == (0, "min_yield")
    (event,) = rig.events("run", GenerationHalted)
    assert (event.lane, event.rule, event.floor, event.generated_total, event.kept_total) == (
        "main",
        "min_yield",
        0.5,
        8,
        3,
    )
    assert event.value == pytest.approx(1 / 6)
    record = rig.records("run")[-1].decoded
    assert record is not None
    assert record.meta.causation_id == ids.verdict_id(3)
    assert rig.generate(start(0.1, 10)).generations == 6
