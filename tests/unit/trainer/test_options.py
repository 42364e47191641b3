"""Options that cannot work are refused, and the learning rate follows the plan."""

import pytest

from consumers.trainer.engine.learning_rate import learning_rate, warmup_steps
from consumers.trainer.engine.lora import Lora
from consumers.trainer.options import TrainOptions
from schemas.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("max_steps", 0),
        ("micro_batch", -1),
        ("learning_rate", 0.0),
        ("clip", -1.0),
        ("max_length", 4),
        ("borrow_after_s", -1.0),
        ("warmup_ratio", -0.1),
        ("keep_checkpoints", 0),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        TrainOptions(run="r", model="m", **{name: value})  # type: ignore[arg-type]


def test_a_falling_rate_needs_to_know_the_last_step() -> None:
    with pytest.raises(ConfigurationError, match="planned_steps"):
        TrainOptions(run="r", model="m", schedule="cosine")
    assert TrainOptions(run="r", model="m", schedule="cosine", max_steps=50).planned == 50


def test_adapters_are_scaled_by_twice_their_rank_by_default_and_must_have_a_rank() -> None:
    assert TrainOptions(run="r", model="m").lora is None
    assert TrainOptions(run="r", model="m", lora_rank=8).lora == Lora(rank=8, alpha=16.0)
    options = TrainOptions(run="r", model="m", lora_rank=8, lora_alpha=4.0, lora_dropout=0.1, lora_targets=("q_proj",))
    assert options.lora == Lora(8, 4.0, 0.1, ("q_proj",))
    for alone in ({"lora_alpha": 4.0}, {"lora_dropout": 0.1}, {"lora_targets": ("q_proj",)}):
        with pytest.raises(ConfigurationError, match="lora_rank"):
            TrainOptions(run="r", model="m", **alone)  # type: ignore[arg-type]
    for bad in (-0.1, 1.0):
        with pytest.raises(ConfigurationError, match="lora_dropout"):
            TrainOptions(run="r", model="m", lora_rank=8, lora_dropout=bad)


def test_defaults_are_those_of_the_paper() -> None:
    options = TrainOptions(run="r", model="m")
    assert (options.learning_rate, options.weight_decay, options.warmup_ratio, options.max_length) == (
        2e-5,
        0.0,
        0.03,
        512,
    )
    assert warmup_steps(options.warmup_ratio, 1000) == 30


def rates(schedule: str, steps: int) -> list[float]:
    return [
        learning_rate(step, peak=1.0, schedule=schedule, warmup=3, planned_steps=11)  # type: ignore[arg-type]
        for step in range(1, steps + 1)
    ]


def test_the_rate_rises_from_the_first_step_and_then_stays() -> None:
    assert rates("constant", 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_the_rate_falls_through_the_planned_steps_and_is_never_zero() -> None:
    assert rates("linear", 12)[3:] == pytest.approx([1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.125])
    cosine = rates("cosine", 12)
    assert cosine[3] == 1.0
    assert cosine[7] == pytest.approx(0.5)
    assert cosine[11] == cosine[10] > 0
