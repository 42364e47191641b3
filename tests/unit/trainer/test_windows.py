"""Windows: ten steps each, a short one at an epoch's end, and no step on the log twice."""

from typing import Any

import pytest

from consumers.trainer.record.window_log import LoggedStep, LoggedTraining, WindowLog
from schemas import ids
from schemas.events import BatchRow, StepLogged, TrainingLogged


def step(number: int) -> StepLogged:
    row = BatchRow(id=f"r{number}", slot=0, cluster=0, generated_offset=number)
    return StepLogged(
        step=number, loss=1.0, loss_variance=0.0, grad_norm=1.0, learning_rate=1e-3, tokens=3, seconds=0.1, rows=(row,)
    )


class Written:
    """Takes what a LogWriter would write."""

    def __init__(self) -> None:
        self.windows: list[tuple[str, str, TrainingLogged]] = []

    def write(self, event: TrainingLogged, *, key: str, id: str, causation_id: str) -> None:
        self.windows.append((key, id, event))

    @property
    def steps(self) -> list[tuple[int, int, list[int]]]:
        return [(event.epoch, event.window, [each.step for each in event.steps]) for _, _, event in self.windows]


def window_log(
    written: Written | None,
    logged: LoggedTraining | None = None,
    last: tuple[int, int] | None = None,
    pending: tuple[StepLogged, ...] = (),
    window_steps: int = 3,
) -> WindowLog:
    writer: Any = written
    return WindowLog(
        writer, "tiny", window_steps, logged=logged or LoggedTraining({}, None), last=last, pending=pending
    )


@pytest.fixture
def written() -> Written:
    return Written()


def add(windows: WindowLog, first: int, last: int, epoch: int = 1) -> None:
    for number in range(first, last + 1):
        windows.add(step(number), epoch)


def test_a_window_names_the_withdrawals_that_held_when_its_first_unlogged_step_began(written: Written) -> None:
    windows = window_log(written, LoggedTraining({1: LoggedStep(1, step(1))}, (1, 0)))
    for number, offset in ((1, 0), (2, 4), (3, 6), (4, 7)):
        if windows.begins:
            windows.documents_offset = offset
        windows.add(step(number), 1)
    windows.close(1)

    assert [(event.documents_offset, len(event.steps)) for _, _, event in written.windows] == [(4, 2), (7, 1)]


def test_a_window_is_written_once_its_last_step_is_done(written: Written) -> None:
    windows = window_log(written)
    add(windows, 1, 5)
    assert written.steps == [(1, 0, [1, 2, 3])]
    assert [each.step for each in windows.pending] == [4, 5]
    add(windows, 6, 6)
    assert written.steps[1:] == [(1, 1, [4, 5, 6])]


def test_key_and_id_are_the_windows_own(written: Written) -> None:
    add(window_log(written), 1, 3)
    assert written.windows[0][:2] == (ids.window_id(1, 0), ids.window_id(1, 0))


def test_an_epochs_last_window_is_short_and_the_next_epoch_keeps_the_count(written: Written) -> None:
    windows = window_log(written)
    add(windows, 1, 4)
    windows.close(1)
    add(windows, 5, 7, epoch=2)
    assert written.steps == [(1, 0, [1, 2, 3]), (1, 1, [4]), (2, 1, [5, 6])]
    assert [each.step for each in windows.pending] == [7]


def test_a_window_begun_before_a_restart_is_completed_after_it(written: Written) -> None:
    add(window_log(written, pending=(step(1), step(2))), 3, 3)
    assert written.steps == [(1, 0, [1, 2, 3])]


def on_log(through: int, last: tuple[int, int]) -> LoggedTraining:
    return LoggedTraining({number: LoggedStep(1, step(number)) for number in range(1, through + 1)}, last)


def test_windows_that_are_on_the_log_are_not_written_again(written: Written) -> None:
    add(window_log(written, on_log(6, (1, 1))), 1, 9)
    assert written.steps == [(1, 2, [7, 8, 9])]


def test_a_training_that_had_ended_and_goes_on_takes_the_next_number(written: Written) -> None:
    windows = window_log(written, on_log(4, (1, 1)), last=(1, 1))
    add(windows, 5, 9)
    assert written.steps == [(1, 2, [5, 6]), (1, 3, [7, 8, 9])]


def test_steps_of_a_short_window_made_again_are_left_out_of_the_longer_one(written: Written) -> None:
    add(window_log(written, on_log(4, (1, 1))), 1, 6)
    assert written.steps == [(1, 2, [5, 6])]


def test_without_a_writer_the_count_goes_on_all_the_same() -> None:
    windows = window_log(None)
    add(windows, 1, 6)
    assert windows.last == (1, 1)
