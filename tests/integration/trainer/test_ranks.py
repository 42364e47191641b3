"""Several ranks: the batches and losses of one process, and what happens when one of them is stopped or dies."""

import signal
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from schemas.errors import TrainerError
from schemas.events import StepLogged
from tests.integration.trainer.rig import CLUSTERS, TrainerRig

FIRST = [n % CLUSTERS for n in range(28)]  # seven batches, and then a live training waits
REST = [(n * 7 + n // 5) % CLUSTERS for n in range(12)] + [2] * 7 + [1]  # of the last, some are borrowed


def batches(steps: list[StepLogged]) -> list[tuple[tuple[str, int, int], ...]]:
    return [tuple((row.id, row.slot, row.cluster) for row in step.rows) for step in steps]


def losses(steps: list[StepLogged]) -> list[float | None]:
    return [step.loss for step in steps]


def ranks() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # of other tests' brokers some are gone and not waited for
            if "consumers.trainer.distributed.rank_process" in child.cmdline():
                found.append(child)
    return found


def at(step: int, number: int, what: signal.Signals) -> Callable[[StepLogged], None]:
    """Send a signal to one of the ranks that this process has started, when it hears of the step."""

    def send(done: StepLogged) -> None:
        if done.step == step:
            (rank,) = [each for each in ranks() if each.environ()["RANK"] == str(number)]
            rank.send_signal(what)

    return send


@pytest.mark.timeout(1200)
def test_four_ranks_train_the_batches_of_one_and_a_signal_to_any_of_them_ends_all_after_the_same_step(
    rig: TrainerRig,
) -> None:
    rig.write(FIRST)
    _, alone = rig.train(output=rig.folder / "alone", write_log=False)
    summary, steps = rig.launch(4, until_end=False, on_step=at(5, 3, signal.SIGTERM))
    assert (summary.reason, summary.steps) == ("stopped", steps[-1].step)
    assert 5 <= summary.steps <= 7
    assert summary.checkpoint is not None and summary.checkpoint.is_dir()
    assert batches(steps) == batches(alone)[: summary.steps]
    assert losses(steps) == pytest.approx(losses(alone)[: summary.steps], abs=1e-4)
    with pytest.raises(TrainerError, match="made with processes 4"):
        rig.train()


@pytest.mark.timeout(1200)
def test_a_rank_that_dies_ends_the_others_and_training_goes_on_as_if_it_had_not(rig: TrainerRig) -> None:
    rig.write(FIRST)
    first: list[StepLogged] = []
    kill = at(6, 1, signal.SIGKILL)

    def on_step(step: StepLogged) -> None:
        first.append(step)
        kill(step)

    with pytest.raises(TrainerError, match=r"Rank 1 of 2 was killed by SIGKILL.*The end of .*rank-1\.log") as died:
        rig.launch(2, checkpoint_every=4, until_end=False, on_step=on_step)
    assert "start again" in str(died.value)
    assert ranks() == []
    rig.write(REST, first=len(FIRST))
    summary, steps = rig.launch(2, checkpoint_every=4, last_batch=True)
    assert (summary.resumed_from, steps[0].step) == (4, 5)
    again = first[4:]  # what it had to make a second time, to the last bit
    assert len(again) in {2, 3}
    assert (batches(steps)[: len(again)], losses(steps)[: len(again)]) == (batches(again), losses(again))
    _, alone = rig.train(output=rig.folder / "alone", write_log=False, last_batch=True)
    assert any(row.slot != row.cluster for step in alone for row in step.rows)
    assert batches(first[:4] + steps) == batches(alone)
    assert losses(first[:4] + steps) == pytest.approx(losses(alone), abs=1e-4)
    assert rig.logged_steps() == [step.step for step in alone]
