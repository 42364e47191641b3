"""Training windows become commands, once each, and each can be decided again from the log alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from infra.run import read_run
from infra.temporary_broker import TemporaryBroker
from schemas import ids
from schemas.events import BatchRow, InstructionKept, InstructionsGenerated, ReplaceSeeds, StepLogged, TrainingLogged
from schemas.policy import policy_for
from streams.core import decider
from streams.core.feedback import answer
from streams.core.seeds import SeedPool
from tests.integration.worker.driver import Rig, generation, seeds

GENERATIONS = 60
WINDOWS = 6


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, policy_for(batch_size=2, refit_from=64), tmp_path)
    rig.configure()
    with rig.writer() as writer:
        for number in range(GENERATIONS):
            id = ids.generation_id("g0", number)
            writer.write(generation(number, seeds()), key=id, id=id)
    yield rig
    rig.stop_workers()


def window_of(number: int, rows: list[InstructionKept], epoch: int = 1) -> TrainingLogged:
    steps = [
        StepLogged(
            step=number * 10 + place + 1,
            loss=2.0,
            loss_variance=0.1,
            grad_norm=float((place * 7 + number) % 10),
            learning_rate=1e-4,
            tokens=10,
            seconds=0.1,
            rows=tuple(
                BatchRow(id=row.id, slot=slot, cluster=row.cluster, generated_offset=row.generated_offset)
                for slot, row in enumerate(rows[2 * place : 2 * place + 2])
            ),
        )
        for place in range(10)
    ]
    return TrainingLogged(window=number, epoch=epoch, model="none", steps=tuple(steps))


def kept_rows(rig: Rig) -> list[InstructionKept]:
    rows = {r.event.id: r.event for r in rig.records("kept") if isinstance(r.event, InstructionKept)}
    return sorted(rows.values(), key=lambda row: (row.generated_offset, row.place))


def write_window(rig: Rig, event: TrainingLogged) -> None:
    id = ids.window_id(event.epoch, event.window)
    with rig.writer() as writer:
        writer.write(event, key=id, id=id)


def wait_commands(rig: Rig, windows: int, timeout_s: float = 90.0) -> list[ReplaceSeeds]:
    """The first command of each window, once there are so many."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found: dict[tuple[int, int], ReplaceSeeds] = {}
        for record in rig.records("seed-commands"):
            if isinstance(record.event, ReplaceSeeds):
                found.setdefault((record.event.epoch, record.event.window), record.event)
        if len(found) >= windows:
            return [found[key] for key in sorted(found)]
        time.sleep(0.3)
    raise AssertionError(f"{windows} windows were not answered within {timeout_s} s")


def decided_again(rig: Rig, commands: list[ReplaceSeeds]) -> list[ReplaceSeeds]:
    """The commands as the core makes them from the log, each at the offset it says it reflects."""
    configured, classifiers = read_run(rig.settings, rig.run)
    state = decider.use_classifier(decider.initial_state(configured), classifiers[0])
    generated = [r for r in rig.records("generated") if isinstance(r.event, InstructionsGenerated)]
    training = {r.offset: r.event for r in rig.records("training-log") if isinstance(r.event, TrainingLogged)}
    pool = SeedPool.of(configured.seeds)
    again = []
    for place, command in enumerate(commands):
        while state.applied < command.as_of_offset:
            record = generated[state.applied + 1]
            assert isinstance(record.event, InstructionsGenerated)
            decider.evolve(state, decider.decide(state, record.offset, record.id, record.event).decision)
            for classifier in classifiers:
                if classifier.from_offset == state.applied + 1:
                    decider.use_classifier(state, classifier)
        made = answer(
            configured.policy, pool, state.scores, state.kept, training[command.training_offset],
            command.training_offset, command.as_of_offset,
        )  # fmt: skip
        pool.apply(made, place)
        again.append(made)
    return again


def test_windows_replace_seeds_and_a_replay_makes_the_same_commands_in_spite_of_kills(rig: Rig) -> None:
    rig.start_worker()
    rig.wait_decided(GENERATIONS - 1)
    rows = kept_rows(rig)
    assert len(rows) >= 20
    for number in range(WINDOWS):
        write_window(rig, window_of(number, rows[number * 3 :]))
        write_window(rig, window_of(number, rows[number * 3 :]))  # as a trainer that was resumed writes it again
        if number in (2, 4):
            rig.workers[-1].kill()
            rig.workers[-1].wait()
            rig.start_worker()
    commands = wait_commands(rig, WINDOWS)

    assert [command.window for command in commands] == list(range(WINDOWS))
    assert commands[0].outcome == "warm_up" and not commands[0].replacements
    assert any(command.outcome == "replaced" for command in commands)
    assert [msgspec.json.encode(c) for c in decided_again(rig, commands)] == [msgspec.json.encode(c) for c in commands]
    values = {}
    for record in rig.records("seed-commands"):
        assert values.setdefault(record.id, record.value) == record.value


def test_a_window_waits_until_the_filter_has_its_rows(rig: Rig) -> None:
    rig.start_worker()
    rig.wait_decided(GENERATIONS - 1)
    rows = kept_rows(rig)
    late = generation(GENERATIONS, seeds())
    future = rows[0].__class__(**{**msgspec.structs.asdict(rows[0]), "generated_offset": GENERATIONS})
    write_window(rig, window_of(1, [*rows[:19], future]))
    id = ids.generation_id("g0", GENERATIONS)
    with rig.writer() as writer:
        writer.write(late, key=id, id=id)
    (command,) = wait_commands(rig, 1)
    assert command.as_of_offset in (GENERATIONS - 1, GENERATIONS)
