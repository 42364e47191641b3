"""metrics.jsonl holds each step and each evaluation once, wherever a training was cut off and went on."""

from pathlib import Path

import pytest

from consumers.trainer.record.metrics import (
    METRICS,
    HeldOutLine,
    MetricsFile,
    StepLine,
    TrainingLine,
    read_metrics,
    step_line,
)
from schemas.errors import TrainerError
from schemas.events import BatchRow, StepLogged

TRAINING = TrainingLine(run="r", model="m")


def step(number: int, loss: float = 1.0) -> StepLine:
    rows = tuple(BatchRow(id=str(slot), slot=slot, cluster=min(slot, 1), generated_offset=0) for slot in range(3))
    logged = StepLogged(
        step=number,
        loss=loss,
        loss_variance=0.1,
        grad_norm=2.0,
        learning_rate=1e-5,
        tokens=30,
        seconds=0.5,
        rows=rows,
        all_tokens=50,
        padding=0.1,
        memory_bytes=2**30,
    )
    return step_line(logged, epoch=1, clusters=16)


def held_out(number: int, sha256: str = "a") -> HeldOutLine:
    return HeldOutLine(step=number, loss=2.0, rows=4, tokens=40, seconds=0.1, file="rows.json", sha256=sha256)


def write(path: Path, at: int, *lines: StepLine | HeldOutLine, training: TrainingLine = TRAINING) -> MetricsFile:
    file = MetricsFile(path, training, at)
    for line in lines:
        file.add(line)
    file.close()
    return file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / METRICS


def test_a_steps_line_counts_its_rows() -> None:
    line = step(7)
    assert (line.step, line.rows, line.borrowed, line.tokens_per_s) == (7, 3, 1, 100.0)


def test_what_was_written_is_read(path: Path) -> None:
    write(path, 0, held_out(0), step(1), step(2), held_out(2))
    found = read_metrics(path)
    assert found.training == TRAINING
    assert found.steps == (step(1), step(2))
    assert found.held_out == (held_out(0), held_out(2))


def test_going_on_from_a_checkpoint_takes_out_what_came_after_it_and_keeps_its_evaluation(path: Path) -> None:
    write(path, 0, held_out(0), step(1), step(2), held_out(2), step(3), held_out(3))
    again = write(path, 2, step(3, loss=0.5))
    assert again.held_out == [held_out(0), held_out(2)]
    found = read_metrics(path)
    assert found.steps == (step(1), step(2), step(3, loss=0.5))
    assert found.held_out == (held_out(0), held_out(2))


def test_a_line_that_was_cut_off_is_made_again(path: Path) -> None:
    write(path, 0, step(1), step(2))
    path.write_bytes(path.read_bytes()[:-20])
    assert read_metrics(path).steps == (step(1),)
    write(path, 1, step(2))
    assert read_metrics(path).steps == (step(1), step(2))


def test_the_file_of_another_training_is_not_gone_on_with(path: Path) -> None:
    write(path, 0, held_out(0), step(1))
    write(path, 1, step(2), training=TrainingLine(run="r", model="other"))
    found = read_metrics(path)
    assert (found.steps, found.held_out) == ((step(2),), ())


def test_the_held_out_curve_is_that_of_the_rows_held_out_last(path: Path) -> None:
    write(path, 0, held_out(0, "a"), step(1), held_out(1, "b"), step(2), held_out(2, "b"))
    assert [line.step for line in read_metrics(path).held_out_curve] == [1, 2]
    assert read_metrics(path.with_name("none")).held_out_curve == ()


def test_a_folder_that_cannot_be_written_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="Make room"):
        MetricsFile(tmp_path / "nowhere" / METRICS, TRAINING, 0)
