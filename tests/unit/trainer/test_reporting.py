"""When held-out rows are evaluated, and that a resumed training reports each step and evaluation once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.engine.held_out import HeldOut
from consumers.trainer.record.metrics import METRICS, TrainingLine, read_metrics
from consumers.trainer.record.reporting import Reporting
from infra.models.templates import EncodedRow
from schemas.events import StepLogged

ROWS = [EncodedRow((1, 2, 3), 2, False), EncodedRow((1, 2, 3, 4), 2, False), EncodedRow((1,), 1, False)]


@dataclass
class Model:
    """Measures a loss of 2 a token, and counts how often it is asked."""

    asked: list[list[EncodedRow]] = field(default_factory=list)

    def measure(self, rows: Sequence[EncodedRow]) -> tuple[float, int]:
        self.asked.append(list(rows))
        tokens = sum(row.response for row in rows)
        return 2.0 * tokens, tokens


@dataclass
class TrainingFolder:
    """A training in `folder`, resumed by each `session`."""

    folder: Path
    model: Model = field(default_factory=Model)
    lines: list[str] = field(default_factory=list)

    def session(self, first: int, last: int, *, at: int, ended: bool, fresh: bool = False) -> None:
        """A session that resumes from step `at`, trains the steps `first` to `last`, and ends the training or not."""
        reporting = Reporting(
            clusters=2,
            output=self.folder,
            training=TrainingLine(run="r", model="m"),
            group=ProcessGroup(),
            fresh=fresh,
            tensorboard=False,
            held_out=HeldOut("rows.json", ROWS, ProcessGroup()),
            eval_every=2,
            measure=self.model.measure,
            say=self.lines.append,
        )
        reporting.begin(at)
        for number in range(first, last + 1):
            reporting.add(step(number), 1)
            reporting.evaluate_if_due(number)
        if ended:
            reporting.evaluate(last)
        reporting.close()

    @property
    def found(self) -> tuple[list[int], list[int]]:
        metrics = read_metrics(self.folder / METRICS)
        return [line.step for line in metrics.steps], [line.step for line in metrics.held_out]


def step(number: int) -> StepLogged:
    return StepLogged(
        step=number, loss=1.0, loss_variance=None, grad_norm=None, learning_rate=0.1, tokens=1, seconds=1.0, rows=()
    )


@pytest.fixture
def training(tmp_path: Path) -> TrainingFolder:
    return TrainingFolder(tmp_path)


def test_it_is_evaluated_before_the_first_step_every_so_often_and_at_the_end(training: TrainingFolder) -> None:
    training.session(1, 5, at=0, ended=True)
    assert training.found == ([1, 2, 3, 4, 5], [0, 2, 4, 5])
    assert training.lines[0] == "held-out loss after step 0: 2.0000 (3 rows, 0.0 s)"


def test_a_stopped_session_does_not_evaluate_and_the_next_one_reports_all_once(training: TrainingFolder) -> None:
    training.session(1, 3, at=0, ended=False)
    assert training.found == ([1, 2, 3], [0, 2])
    training.session(3, 4, at=2, ended=True)
    assert training.found == ([1, 2, 3, 4], [0, 2, 4])
    training.session(5, 4, at=4, ended=True)
    assert training.found == ([1, 2, 3, 4], [0, 2, 4])
    assert len(training.model.asked) == 3


def test_a_checkpoint_whose_evaluation_is_lost_is_evaluated_again(training: TrainingFolder) -> None:
    training.session(1, 4, at=0, ended=False)
    (training.folder / METRICS).unlink()
    training.session(5, 5, at=4, ended=True)
    assert training.found == ([5], [4, 5])


def test_a_fresh_training_replaces_earlier_reports(training: TrainingFolder) -> None:
    training.session(1, 4, at=0, ended=True)
    training.session(1, 1, at=0, ended=True, fresh=True)
    assert training.found == ([1], [0, 1])


def test_ranks_share_the_held_out_rows_and_their_loss_is_that_of_all() -> None:
    @dataclass(frozen=True)
    class Other(ProcessGroup):
        def all_gather(self, value):  # type: ignore[no-untyped-def]
            return [value, (6.0, 1)]

    whole, shared = Model(), Model()
    alone = HeldOut("f", ROWS, ProcessGroup()).measure(whole.measure, 1)
    together = HeldOut("f", ROWS, Other(rank=1, size=2)).measure(shared.measure, 1)
    assert (alone.loss, alone.tokens, alone.rows) == (2.0, 3, 3)
    assert shared.asked == [ROWS[1:2]]
    assert (together.loss, together.tokens, together.rows) == ((4.0 + 6.0) / 3, 3, 3)
    assert alone.sha256 == together.sha256


def test_a_loss_that_is_not_finite_is_none() -> None:
    found = HeldOut("f", ROWS, ProcessGroup()).measure(lambda rows: (float("nan"), 3), 1)
    assert found.loss is None
