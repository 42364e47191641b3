"""In a run that answers kept instructions alone, a row that becomes a seed has its answer; the audit agrees."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from consumers.replay.parallel import audit
from consumers.replay.result import Audit
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.archiving import write_archive
from infra.log.source import KafkaSource
from schemas import ids
from schemas.events import InstructionKept
from schemas.policy import policy_for
from tests.golden.edits import Log
from tests.integration.worker.driver import Rig, generation, seeds
from tests.integration.worker.test_feedback import kept_rows, wait_commands, window_of, write_window
from tests.unit.trainer.tiny import answered

GENERATIONS, WINDOWS = 60, 4


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(broker.settings, run, policy_for(batch_size=2, refit_from=64, answer="kept"), tmp_path)
    made.configure()
    with made.writer() as writer:
        for number in range(GENERATIONS):
            listed = generation(number, seeds())
            without = tuple(replace(one, output="") for one in listed.instructions)
            event = replace(listed, style="two-step", instructions=without)
            id = ids.generation_id("g0", number)
            writer.write(event, key=id, id=id)
    yield made
    made.stop_workers()


def answer_rows(rig: Rig, rows: list[InstructionKept]) -> None:
    """Every row gets an answer; every seventh one is not used."""
    with rig.writer() as writer:
        for place, row in enumerate(rows):
            event = answered(with_output(row), "cut_output" if place % 7 == 6 else None)
            writer.write(event, key=row.id, id=ids.answered_id(row.id), partition=row.cluster)


def with_output(row: InstructionKept) -> InstructionKept:
    return replace(row, input=f"on {row.place}", output=f"The answer to {row.instruction}")


def faults(found: Audit) -> dict[str, int]:
    """Without those of the batches, and of what answers are read as, which are made up."""
    return {kind: count for kind, count in found.by_kind.items() if kind not in ("batch", "steps", "read")}


def test_seeds_that_come_from_training_have_their_answers_over_kills_and_in_the_audit(rig: Rig, tmp_path: Path) -> None:
    rig.start_worker()
    rig.wait_decided(GENERATIONS - 1)
    rows = kept_rows(rig)
    assert {row.output for row in rows} == {""}
    answer_rows(rig, rows)
    used = [row for place, row in enumerate(rows) if place % 7 != 6]
    for number in range(1, WINDOWS + 1):
        write_window(rig, window_of(number, used[number * 3 :]))
        if number == 2:
            wait_commands(rig, 2)
            rig.workers[-1].kill()
            rig.workers[-1].wait()
            rig.start_worker()
    commands = wait_commands(rig, WINDOWS)
    taken = [one.seed for command in commands for one in command.replacements]
    assert len(taken) >= WINDOWS
    by_id = {row.id: with_output(row) for row in used}
    for task in taken:
        row = by_id[task.id]
        assert (task.instruction, task.input, task.output) == (row.instruction, row.input, row.output)
    assert faults(audit(KafkaSource(rig.settings, rig.run))) == {}

    write_archive(rig.settings, rig.run, tmp_path / "archive")
    log = Log(tmp_path / "archive")
    partition, offset = next(
        (partition, offset)
        for partition in range(rig.policy.clusters)
        for offset, value in enumerate(log.values("answered", partition))
        if value["row"]["id"] == taken[0].id
    )
    log.change("answered", offset, lambda value: value["row"].update(output="Another answer"), partition)
    assert faults(audit(log.write(tmp_path / "altered")))["altered"] >= 1, "the seed is not what its answer says"
