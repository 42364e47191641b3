"""Steps that are thrown away again and again end a training; one that succeeds begins the count anew."""

import pytest

from consumers.trainer.engine.nonfinite_guard import NonfiniteGuard
from schemas.errors import TrainerError


def test_the_last_of_too_many_in_a_row_says_which_rows_and_what_to_do() -> None:
    guard = NonfiniteGuard(3)
    guard.add(4, updated=False, tokens=9, rows=["a"])
    guard.add(5, updated=False, tokens=9, rows=["b"])
    with pytest.raises(TrainerError, match=r"3 steps in a row \(from 4 on\).*rows are c, d.*--clip 1"):
        guard.add(6, updated=False, tokens=9, rows=["c", "d"])


def test_a_step_that_succeeds_begins_anew_and_an_empty_batch_says_nothing() -> None:
    guard = NonfiniteGuard(2)
    for step in range(10):
        guard.add(2 * step, updated=False, tokens=9, rows=["a"])
        guard.add(2 * step, updated=False, tokens=0, rows=["a"])
        guard.add(2 * step + 1, updated=True, tokens=9, rows=["a"])
