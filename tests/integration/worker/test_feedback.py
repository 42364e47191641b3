"""Each training window becomes one command, which can be decided again from the log alone, judge's scores included."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from infra.cluster.admin import administrator
from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.run import read_run
from schemas import ids
from schemas.events import (
    BatchRow,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    Judge,
    ReplaceSeeds,
    StepLogged,
    TrainingLogged,
)
from schemas.policy import policy_for
from schemas.topics import topic_name
from streams.core import decider
from streams.core.feedback import answer
from streams.core.judging import SCALE, FirstJudge
from streams.core.seeds import SeedPool
from tests.integration.worker.driver import Rig, generation, seeds

GENERATIONS = 60
WINDOWS = 6


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, policy_for(batch_size=2, refit_from=64, candidate_min_score=3.0), tmp_path)
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


def judge_rows(rig: Rig, rows: list[InstructionKept]) -> None:
    """A judge finds two of three rows good."""
    judge = Judge(backend="none", model="none", rubric="accuracy", version=1)
    with rig.writer() as writer:
        for place, row in enumerate(rows):
            event = InstructionJudged(
                kept_id=row.id,
                generated_offset=row.generated_offset,
                place=row.place,
                cluster=row.cluster,
                judge=judge,
                scale=SCALE,
                score=1.0 if place % 3 == 2 else 4.0,
                reason="so",
                answers=(),
                cost_usd=None,
            )
            writer.write(event, key=row.id, id=ids.judgement_id(row.id, judge.name))


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
    pool, judge = SeedPool.of(configured.seeds), FirstJudge()
    for record in rig.records("judged"):
        judge.apply(record.event if isinstance(record.event, InstructionJudged) else None, record.offset)
    again = []
    for place, command in enumerate(commands):
        while state.applied < command.as_of_offset:
            record = generated[state.applied + 1]
            assert isinstance(record.event, InstructionsGenerated)
            decider.apply(state, decider.decide(state, record.offset, record.id, record.event).decision)
            for classifier in classifiers:
                if classifier.from_offset == state.applied + 1:
                    decider.use_classifier(state, classifier)
        made = answer(
            configured.policy,
            pool,
            state.scores,
            state.kept,
            training[command.training_offset],
            command.training_offset,
            command.as_of_offset,
            judge,
            command.judged_offset,
        )
        pool.apply(made, place)
        again.append(made)
    return again


def test_windows_replace_seeds_and_a_replay_makes_the_same_commands_in_spite_of_kills(rig: Rig) -> None:
    rig.start_worker()
    rig.wait_decided(GENERATIONS - 1)
    rows = kept_rows(rig)
    assert len(rows) >= 20
    judge_rows(rig, rows[:15])
    for number in range(WINDOWS):
        write_window(rig, window_of(number, rows[number * 3 :]))
        write_window(rig, window_of(number, rows[number * 3 :]))  # as a trainer that was resumed writes it again
        if number in (2, 4):
            judge_rows(rig, rows[:30])  # those of before are written again
            rig.workers[-1].kill()
            rig.workers[-1].wait()
            rig.start_worker()
    commands = wait_commands(rig, WINDOWS)

    assert [command.window for command in commands] == list(range(WINDOWS))
    assert commands[0].outcome == "warm_up" and not commands[0].replacements
    assert any(command.outcome == "replaced" for command in commands)
    assert {c.verdict for command in commands for c in command.candidates} >= {"taken", "low_score"}
    reflected = [command.judged_offset for command in commands]
    assert reflected == sorted(reflected) and reflected[0] >= 14
    assert [msgspec.json.encode(c) for c in decided_again(rig, commands)] == [msgspec.json.encode(c) for c in commands]
    values = {}
    for record in rig.records("seed-commands"):
        assert values.setdefault(record.id, record.value) == record.value


def test_a_window_waits_until_the_filter_has_its_rows_but_for_no_judge(rig: Rig) -> None:
    """Nor does the worker need the judge's topic, which the run lacks here until a judge makes it."""
    with administrator(rig.settings) as admin:
        admin.delete_topics([topic_name(rig.run, "judged")])
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
    assert command.judged_offset == -1 and {c.verdict for c in command.candidates} <= {"unjudged", "unknown_row"}
    apply(rig.settings, rig.run, rig.policy.clusters)
    judge_rows(rig, rows)
    write_window(rig, window_of(2, rows[2:]))
    _, later = wait_commands(rig, 2)
    assert later.judged_offset == len(rows) - 1 and later.outcome == "replaced"
