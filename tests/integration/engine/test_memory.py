"""On out-of-memory the batch is retried with smaller micro-batches, with the result of a run that began so."""

from typing import Any

import pytest

from schemas.errors import TrainerError
from tests.integration.engine.conftest import MakeEngine
from tests.integration.engine.test_engine import BATCHES
from tests.unit.trainer import tiny


def small(most: int, where: str, precision: str) -> Any:
    """A model with memory for no more than `most` rows: forward, or backward through its first layer, fails."""
    import torch

    model = tiny.model().to(torch.bfloat16 if precision == "bf16" else torch.float32)

    def check(rows: int) -> None:
        if rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    def before(_layer: Any, given: tuple[Any, ...]) -> None:
        if where == "forward":
            check(len(given[0]))
        elif given[0].requires_grad:
            given[0].register_hook(lambda gradient: check(len(gradient)))

    model.model.layers[1].register_forward_pre_hook(before)
    return model


@pytest.mark.parametrize(
    ("precision", "zero_stage", "where"),
    [
        ("bf16", 0, "backward"),
        ("fp32", 1, "backward"),
        ("bf16", 1, "backward"),
        ("fp32", 2, "backward"),
        ("bf16", 2, "backward"),
        ("fp32", 2, "forward"),
    ],
)
def test_a_step_without_enough_memory_is_the_step_of_fewer_rows(
    make_engine: MakeEngine, precision: str, zero_stage: int, where: str
) -> None:
    lines: list[str] = []
    changes: dict[str, Any] = {"precision": precision, "zero_stage": zero_stage}
    poor = make_engine(small(1, where, precision), micro_batch=4, say=lines.append, **changes)
    plain = make_engine(small(4, where, precision), micro_batch=1, **changes)
    for rows in BATCHES:
        one, other = poor.step(rows, 1e-2), plain.step(rows, 1e-2)
        assert (one.loss, one.grad_norm, one.updated) == (other.loss, other.grad_norm, True)
    assert ["at most 2 rows" in lines[0], "at most 1 rows" in lines[1], len(lines)] == [True, True, 2]


def test_a_single_row_that_does_not_fit_says_what_can_be_done(make_engine: MakeEngine) -> None:
    with pytest.raises(TrainerError, match=r"single row.*--max-length"):
        make_engine(small(0, "forward", "fp32"), micro_batch=2).step(BATCHES[0], 1e-2)


def test_memory_of_the_machine_itself_counts_too(make_engine: MakeEngine) -> None:
    model = tiny.model()
    words = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"

    def before(_model: Any, _args: tuple[Any, ...], given: dict[str, Any]) -> None:
        if len(given["input_ids"]) > 2:
            raise RuntimeError(words)

    model.register_forward_pre_hook(before, with_kwargs=True)
    assert make_engine(model).step(BATCHES[0], 1e-2).loss == make_engine(micro_batch=2).step(BATCHES[0], 1e-2).loss


def test_where_the_batch_cannot_be_retried_it_says_which_option_helps(make_engine: MakeEngine) -> None:
    with pytest.raises(TrainerError, match=r"stage 3 cannot retry.*--micro-batch"):
        make_engine(small(1, "forward", "fp32"), zero_stage=3).step(BATCHES[0], 1e-2)


def test_another_error_of_the_model_is_not_taken_for_it(make_engine: MakeEngine) -> None:
    model = tiny.model()

    def before(_model: Any, _given: Any) -> None:
        raise RuntimeError("shapes do not fit")

    model.model.register_forward_pre_hook(before)
    with pytest.raises(RuntimeError, match="shapes"):
        make_engine(model).step(BATCHES[0], 1e-2)
