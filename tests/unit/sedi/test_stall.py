"""Who stands still in a run that does not move, from one look at its status after the other."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from consumers.folds.counts import AnsweredCounts, BatchCounts
from consumers.folds.run_fold import RunFold
from consumers.status import BrokerHealth, Lag, Status, WindowStatus, status_of
from sedi.stall import STILL_S, LastMoved, step_in
from tests.unit.consumers.story import START_MS, Story

LONG_S = STILL_S + 5
STEP = "step {} (epoch 1): loss 2.1, gradient norm 3"


def quiet_status() -> Status:
    story = Story()
    story.configure()
    fold = RunFold(story.configured)
    for each in story.records():
        fold.apply(each)
    broker = BrokerHealth(healthy=True, bootstrap="127.0.0.1:1", brokers=1, detail="It answers.")
    return status_of(fold, START_MS, broker)


@dataclass
class Run:
    """A run that is looked at, with a clock of its own."""

    at: float = 0.0
    status: Status = field(default_factory=quiet_status)
    news: str = "Training in fp32."
    trains: bool = True

    def __post_init__(self) -> None:
        self.movement = LastMoved(4, self.trains, self.trains, lambda: self.at)
        self.look()

    def look(self, seconds: float = 0.0, **change: Any) -> tuple[str, float] | None:
        """So many seconds later the status has changed so."""
        self.at += seconds
        self.news = change.pop("news", self.news)
        self.status = msgspec.structs.replace(self.status, **change)
        self.movement.see(self.status, self.news)
        return self.movement.stalled(self.status)

    def answer(self, number: int) -> dict[str, Any]:
        return {"calls": msgspec.structs.replace(self.status.calls, answered=number)}


def window(outcome: str | None) -> WindowStatus:
    return WindowStatus(
        epoch=1,
        window=1,
        step=10,
        loss=1.0,
        grad_norm=1.0,
        outcome=outcome,
        replacements=None if outcome is None else 0,
    )


def test_while_parts_move_nobody_stands_still() -> None:
    run = Run()
    for number in range(10):
        assert run.look(STILL_S - 10, **run.answer(number + 1), news=f"line {number}", kept=number + 1) is None


def test_while_batches_are_open_at_the_endpoint_nobody_stands_still() -> None:
    run, waiting = Run(), {"news": "Waiting for rows: 4 of 4 clusters are empty."}
    assert run.look(LONG_S, batches=BatchCounts(open=1, requests=500, ended={}), **waiting) is None
    assert run.look(LONG_S, batches=BatchCounts(open=0, requests=0, ended={"completed": 1}), **waiting) is not None


def test_a_generator_whose_calls_are_not_answered_stands_still() -> None:
    assert Run().look(LONG_S, news="Waiting for rows: 4 of 4 clusters are empty.") == ("generator", LONG_S)


def test_a_filter_with_generations_to_decide_on_stands_still_though_the_generator_goes_on() -> None:
    run = Run()
    lag = Lag(generations=3, untrained=0)

    assert run.look(60, **run.answer(1), lag=lag) is None
    assert run.look(LONG_S - 60, **run.answer(2)) == ("filter", LONG_S)


def test_an_answerer_with_rows_to_answer_stands_still_though_more_are_kept() -> None:
    run = Run()
    found = AnsweredCounts(used=3, waiting=2, unused={}, unused_total=0, usd_per_used=None)

    run.look(0, answered=found)
    more = msgspec.structs.replace(found, waiting=9)
    assert run.look(LONG_S, **run.answer(1), answered=more) == ("answerer", LONG_S)
    unused = msgspec.structs.replace(more, waiting=8, unused={"cut_output": 1}, unused_total=1)
    assert run.look(1, answered=unused) is None


def test_a_window_without_an_answer_is_for_feedback_to_answer() -> None:
    run = Run()
    run.look(0, last_window=window(None))

    assert run.look(LONG_S, **run.answer(1), news=STEP.format(11)) == ("feedback", LONG_S)
    assert run.look(0, last_window=window("replaced")) is None


def test_a_trainer_with_a_batch_stands_still_and_a_generator_held_back_by_it_does_not() -> None:
    run = Run()
    run.look(0, lag=Lag(generations=0, untrained=40))

    assert run.look(LONG_S) == ("trainer", LONG_S)


def test_a_trainer_whose_rows_are_trained_and_not_yet_logged_has_no_batch() -> None:
    run = Run(news=STEP.format(7))
    run.look(0, lag=Lag(generations=0, untrained=30))  # 28 of them trained in 7 steps of an open window

    assert run.look(LONG_S) == ("generator", LONG_S)


def test_a_trainer_that_says_it_waits_for_rows_is_not_to_blame_while_rows_come() -> None:
    run = Run(news="Waiting for rows: 1 of 4 clusters are empty ([2]).")
    run.look(0, lag=Lag(generations=0, untrained=40))

    assert run.look(LONG_S, **run.answer(1), kept=1) is None


def test_when_all_wait_for_one_another_the_one_that_waits_for_rows_is_named() -> None:
    run = Run(news="Waiting for rows: 1 of 4 clusters are empty ([2]).")
    run.look(0, lag=Lag(generations=0, untrained=40))

    assert run.look(LONG_S) == ("trainer", LONG_S)


def test_a_trainer_whose_steps_always_took_long_is_slow_and_not_stalled() -> None:
    run = Run(news=STEP.format(1))
    run.look(0, lag=Lag(generations=0, untrained=400))
    run.look(100, news=STEP.format(2))

    assert run.look(250) is None
    assert run.look(60) == ("trainer", 310.0)


def test_without_a_trainer_the_generator_has_nobody_to_wait_for() -> None:
    run = Run(trains=False)
    run.look(0, lag=Lag(generations=0, untrained=400))

    assert run.look(LONG_S) == ("generator", LONG_S)


@pytest.mark.parametrize(
    ("news", "step"), [(STEP.format(31), 31), ("Stopping after step 31: saving.", None), ("", None)]
)
def test_the_step_is_read_from_the_trainers_own_lines(news: str, step: int | None) -> None:
    assert step_in(news) == step
