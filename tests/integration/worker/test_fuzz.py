"""Five thousand invalid records between the valid ones of a working run: it goes on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumers.dead_letters import missing
from consumers.report import report
from consumers.trainer.record.output_capture import capture_output
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import TOPICS, KafkaSource
from infra.settings import load
from producers.backends.recorded import RecordedOptions
from producers.generate.generator import GenerateOptions
from schemas.events import InstructionsGenerated, InstructionsRejected, TrainingLogged
from schemas.policy import policy_for
from tests.harness.forked import fork
from tests.integration.producers import driver as producers
from tests.integration.raw_records import RawRecord, write_raw
from tests.integration.worker.driver import Rig
from tests.unit.consumers.fuzzed import Fuzzed, fuzzed
from tests.unit.trainer.tiny import save_tiny

RECORDS, AT_ONCE = 5_000, 100
LANE = "good"
HARMLESS = ("calls", "generated")  # topics where a readable event of another lane is nothing to anybody's work


def _train(run: str, model: Path, output: Path) -> None:
    from consumers.trainer.run import TrainOptions, train

    options = TrainOptions(
        run=run,
        model=str(model),
        output=output,
        precision="fp32",
        device="cpu",
        threads=1,
        learning_rate=1e-2,
        planned_steps=1000,
    )
    train(options, load())


class Crew:
    """A worker, a generator and a trainer at work on one run, each in a process of its own."""

    def __init__(self, broker: TemporaryBroker, run: str, folder: Path) -> None:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        # most records are bad here, and no program is at fault
        tolerant = broker.settings.model_copy(update={"dead_letters_in_a_row": RECORDS, "dead_letter_share": 1.0})
        self.rig = Rig(tolerant, run, policy_for(batch_size=2, window_steps=5), folder)
        self.rig.configure()
        self.worker = self.rig.start_worker()
        recorded_answers = broker.settings.model_copy(update={"backend": "recorded"})
        generators = producers.Rig(recorded_answers, run, folder)
        recorded = RecordedOptions(generators.answers(10_000), latency_s=0.15)  # for as long as the test may take
        self.generator = generators.start(GenerateOptions(run=run, lane=LANE, recorded=recorded))
        with capture_output(folder / "saving.log"):
            trainee = save_tiny(folder / "tiny")
        self.trainer = fork(
            _train, run, trainee, folder / "out", settings=broker.settings, output=folder / "trainer.log"
        )
        self.processes = {"generator": self.generator, "trainer": self.trainer, "worker": self.worker}

    def dead(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def last_lines(self) -> str:
        """The processes that died, and the end of what they wrote."""
        return "\n".join(f"{name}: {self.processes[name].last_lines()}" for name in self.dead())

    def end(self) -> dict[str, int]:
        """End them in order, as a run does; how each ended."""
        ended = {}
        for name, process in self.processes.items():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            ended[name] = process.wait(90)
        return ended

    def kill(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def crew(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(broker, run, tmp_path)
    yield crew
    crew.kill()


def is_wanted(found: Fuzzed) -> bool:
    """Not an event that is readable and in its place: that is a forgery, which no reader can tell, not a fault."""
    return found.record().error is not None or found.topic in HARMLESS


def good_work(rig: Rig) -> tuple[int, int]:
    """Generations of the generator and windows of the trainer that lie on the log."""
    events = [record.event for record in rig.records("generated", "training-log")]
    generations = sum(1 for event in events if isinstance(event, InstructionsGenerated) and event.lane == LANE)
    return generations, sum(1 for event in events if isinstance(event, TrainingLogged))


def wait_until(crew: Crew, true: Callable[[], bool], timeout_s: float = 150.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline and not crew.dead(), f"dead: {crew.last_lines()}"
        time.sleep(0.5)


def drawn_batches() -> list[list[Fuzzed]]:
    """RECORDS records in batches. They are drawn before any is written: what fails later is no example to be shrunk."""
    batches: list[list[Fuzzed]] = []

    @settings(
        max_examples=2 * RECORDS // AT_ONCE,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(fuzzed().filter(is_wanted), min_size=AT_ONCE, max_size=AT_ONCE))
    def draw(records: list[Fuzzed]) -> None:
        batches.append(records)

    draw()
    assert len(batches) >= RECORDS // AT_ONCE
    return batches[: RECORDS // AT_ONCE]


@pytest.mark.timeout(600)
def test_no_process_dies_the_good_work_goes_on_and_all_that_is_unreadable_is_put_aside(crew: Crew) -> None:
    rig = crew.rig
    source = KafkaSource(rig.settings, rig.run)
    written: set[tuple[str, int, int]] = set()
    for records in drawn_batches():
        raw = [RawRecord(one.topic, one.partition, one.key, one.value, one.headers) for one in records]
        for one, offset in zip(records, write_raw(rig.settings, rig.run, raw), strict=True):
            if one.record().error is not None:
                written.add((one.topic, one.partition, offset))
        assert not crew.dead(), crew.last_lines()
    assert {topic for topic, _, _ in written} == set(TOPICS)
    wait_until(crew, lambda: missing(source) == [])
    good, windows = good_work(rig)
    wait_until(crew, lambda: good_work(rig)[0] > good + 5 and good_work(rig)[1] > windows)  # behind all that
    crew.generator.send_signal(signal.SIGTERM)
    assert crew.generator.wait(90) == 0
    end = len(rig.records("generated"))
    rig.wait_decided(end - 1)
    assert crew.dead() == ["generator"]
    assert crew.end() == {"generator": 0, "trainer": 0, "worker": 0}, rig.log_of(0)[-2000:]

    found = report(source)
    assert found.accounted, found.unaccounted_first
    assert (found.filter_lag, found.undecided) == (0, 0)
    assert missing(source) == []
    assert set(found.unreadable) == set(TOPICS)
    assert sum(found.unreadable.values()) == len(written)
    for topic, number in found.unreadable.items():
        assert found.dead_letters[topic] == number, topic
    decided = {r.event.generated_offset for r in rig.records("rejected") if isinstance(r.event, InstructionsRejected)}
    assert decided == set(range(end))
    numbers = [
        e.number for r in rig.records("generated") if isinstance(e := r.event, InstructionsGenerated) and e.lane == LANE
    ]
    assert numbers == list(range(len(numbers)))
