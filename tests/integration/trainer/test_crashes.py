"""A killed trainer goes on as if nothing had happened: same batches, same losses, no window missing or twice."""

import random
import shutil

import pytest

from schemas.errors import TrainerError
from schemas.events import StepLogged
from tests.integration.trainer.rig import CLUSTERS, TrainerRig

ROWS = [(n * 7 + n // 5) % CLUSTERS for n in range(96)]


def numbers_of(steps: list[StepLogged]) -> list[tuple[int, float | None, float | None, tuple[str, ...]]]:
    return [(step.step, step.loss, step.grad_norm, tuple(row.id for row in step.rows)) for step in steps]


def test_killed_twice_it_trains_what_an_undisturbed_one_does_to_the_last_bit(rig: TrainerRig) -> None:
    rig.write(ROWS)
    _, undisturbed = rig.train(output=rig.folder / "undisturbed", write_log=False)
    pieces = [
        rig.train_until_killed(10, checkpoint_every=4),  # window 2 is on the log, its steps 9 and 10 in no checkpoint
        rig.train_until_killed(15, checkpoint_every=4),  # so is window 3, and it had to make 9 and 10 again
    ]
    summary, last = rig.train(checkpoint_every=4)
    assert [piece[0].step for piece in pieces] == [1, 9]
    assert (summary.resumed_from, last[0].step) == (12, 13)
    expected = numbers_of(undisturbed)
    for piece in [*pieces, last]:
        assert numbers_of(piece) == expected[piece[0].step - 1 : piece[-1].step]
    assert rig.logged_steps() == [step.step for step in undisturbed]
    assert numbers_of([step for window in rig.windows() for step in window.steps]) == expected


def test_with_its_checkpoints_lost_it_trains_the_batches_that_the_log_names(rig: TrainerRig) -> None:
    rig.write([2] * 4 * 5)
    _, before = rig.train(until_end=False, borrow_after_s=0.0, max_steps=5)
    shutil.rmtree(rig.folder / "out")
    rig.write([n % CLUSTERS for n in range(16)], first=100)
    summary, again = rig.train()
    assert numbers_of(again[:5]) == numbers_of(before)
    assert summary.steps == 9
    assert rig.logged_steps() == list(range(1, 10))
    assert any("training them again" in line for line in rig.lines)


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before_and_nothing_else(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(48)])
    _, undisturbed = rig.train(output=rig.folder / "undisturbed", write_log=False)
    rig.train(max_steps=10, checkpoint_every=5)
    weights = next((rig.folder / "out" / "checkpoints" / "step-00000010").glob("*optim_states.pt"))
    weights.write_bytes(weights.read_bytes()[:1000])
    summary, steps = rig.train()
    assert (summary.resumed_from, steps[0].step) == (5, 6)
    assert numbers_of(steps) == numbers_of(undisturbed)[5:]
    assert rig.logged_steps() == list(range(1, 13))


def test_a_training_killed_in_its_second_epoch_goes_on_in_it(rig: TrainerRig) -> None:
    rig.write(ROWS[:32])
    _, undisturbed = rig.train(output=rig.folder / "undisturbed", write_log=False, epochs=2)
    rig.train_until_killed(12, epochs=2, checkpoint_every=5)
    rig.write(ROWS[32:], first=32)  # rows that came after the first epoch are not part of the second
    summary, steps = rig.train(epochs=2)
    assert (summary.resumed_from, summary.epoch, summary.steps) == (10, 2, 16)
    assert numbers_of(steps) == numbers_of(undisturbed)[10:]
    assert [(each.epoch, each.window) for each in rig.windows()] == [(1, 0), (1, 1), (2, 1), (2, 2), (2, 3)]


def test_killed_at_ten_random_moments_it_ends_with_the_undisturbed_loss_and_trains_each_row_once_an_epoch(
    rig: TrainerRig,
) -> None:
    rig.write([(n * 5 + n // 7) % CLUSTERS for n in range(120)])
    _, undisturbed = rig.train(output=rig.folder / "undisturbed", write_log=False, epochs=2)
    dice = random.Random(7)
    for moment in sorted(dice.sample(range(1, 60), 10)):
        rig.train_until_killed(moment, after_s=dice.uniform(0, 0.05), epochs=2, checkpoint_every=3)
    summary, _ = rig.train(epochs=2, checkpoint_every=3)
    assert (summary.steps, summary.epoch) == (60, 2)
    by_epoch = {epoch: [s for each in rig.windows() if each.epoch == epoch for s in each.steps] for epoch in (1, 2)}
    assert numbers_of(by_epoch[1] + by_epoch[2]) == numbers_of(undisturbed)
    for steps in by_epoch.values():
        assert sorted(row.generated_offset for step in steps for row in step.rows) == list(range(120))


def test_a_full_disk_ends_it_with_a_message_and_it_goes_on_from_the_checkpoint_before(rig: TrainerRig) -> None:
    rig.write(ROWS[:48])
    _, undisturbed = rig.train(output=rig.folder / "undisturbed", write_log=False)
    error = rig.train_until_full(6, checkpoint_every=4)
    assert "TrainerError: The checkpoint of step 8 could not be written" in error
    assert "Make room" in error
    summary, steps = rig.train(checkpoint_every=4)
    assert summary.resumed_from == 4
    assert numbers_of(steps) == numbers_of(undisturbed)[4:]
    assert not list((rig.folder / "out" / "checkpoints").glob(".draft*"))


def test_when_no_checkpoint_can_be_used_it_says_so_and_does_not_begin_again(rig: TrainerRig) -> None:
    rig.write(ROWS[:32])
    rig.train(max_steps=5)
    for state in (rig.folder / "out" / "checkpoints").glob("step-*/state.json"):
        state.write_bytes(b"{")
    with pytest.raises(TrainerError, match="None of the 1 checkpoints"):
        rig.train()
