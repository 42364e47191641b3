"""A step's numbers are those of a plain torch loop, however the batch is cut; what is not finite changes nothing."""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from consumers.trainer.record.output_capture import capture_output
from infra.models.loading import load_model
from infra.models.templates import EncodedRow, encode
from tests.integration.engine.conftest import MakeEngine
from tests.unit.trainer import tiny

READER = tiny.tokenizer()
ROWS = [encode(tiny.kept(number, 0), READER, "chat", 96) for number in range(12)]
BATCHES = [ROWS[first : first + 4] for first in (0, 4, 8)]


def plain_step(
    model: Any, optimizer: Any, rows: list[EncodedRow], clip: float = float("inf")
) -> tuple[float, list[float], float]:
    """Loss, row losses and gradient norm of one step with torch alone, one row at a time, nothing padded."""
    import torch

    optimizer.zero_grad()
    sums = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.tokens])).logits[0]
        targets = torch.tensor(row.tokens[row.prompt :])
        sums.append(torch.nn.functional.cross_entropy(logits[row.prompt - 1 : -1], targets, reduction="sum"))
    loss = torch.stack(sums).sum() / sum(row.response for row in rows)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.item(), [s.item() / row.response for s, row in zip(sums, rows, strict=True)], float(norm)


@pytest.mark.parametrize(("micro_batch", "zero_stage"), [(2, 0), (4, 1), (1, 1), (3, 1), (2, 2), (2, 3)])
def test_numbers_and_updates_are_those_of_a_plain_loop(
    make_engine: MakeEngine, micro_batch: int, zero_stage: int
) -> None:
    import torch

    plain = tiny.model()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0.0)
    engine = make_engine(micro_batch=micro_batch, zero_stage=zero_stage)
    for rows in BATCHES:
        loss, row_losses, norm = plain_step(plain, optimizer, rows)
        numbers = engine.step(rows, 1e-3)
        assert numbers.loss == pytest.approx(loss, abs=1e-5)
        assert numbers.row_losses == pytest.approx(row_losses, abs=1e-5)
        assert numbers.loss_variance == pytest.approx(statistics.pvariance(row_losses), abs=1e-6)
        assert numbers.grad_norm == pytest.approx(norm, rel=1e-4)
        assert numbers.tokens == sum(row.response for row in rows)


def test_batches_may_differ_in_size(make_engine: MakeEngine) -> None:
    engine = make_engine(micro_batch=2)
    assert engine.step(ROWS[:4], 1e-3).updated
    assert engine.step(ROWS[4:7], 1e-3).updated
    assert len(engine.step(ROWS[7:8], 1e-3).row_losses) == 1


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_twenty_clipped_steps_lose_as_a_plain_loop_does(make_engine: MakeEngine, zero_stage: int) -> None:
    import torch

    plain = tiny.model()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=3e-3, weight_decay=0.1)
    engine = make_engine(micro_batch=3, zero_stage=zero_stage, weight_decay=0.1, clip=1.0)
    for step in range(20):
        rows = BATCHES[step % 3]
        loss, _, norm = plain_step(plain, optimizer, rows, clip=1.0)
        numbers = engine.step(rows, 3e-3)
        assert numbers.loss == pytest.approx(loss, abs=1e-4)
        assert numbers.grad_norm == pytest.approx(norm, rel=1e-3)  # before it was clipped


@pytest.mark.parametrize("zero_stage", [1, 3])
def test_activations_that_are_made_again_give_the_same_numbers(make_engine: MakeEngine, zero_stage: int) -> None:
    kept, again = (make_engine(zero_stage=zero_stage, activation_checkpointing=each) for each in (False, True))
    for rows in BATCHES[:2]:
        one, other = kept.step(rows, 1e-2), again.step(rows, 1e-2)
        assert (one.loss, one.grad_norm) == (other.loss, other.grad_norm)


def test_padding_is_the_share_of_what_was_fed_that_is_no_row(make_engine: MakeEngine) -> None:
    short, long = EncodedRow((1, 2, 3, 4), 2, False), EncodedRow(tuple(range(1, 91)), 2, False)
    mixed = make_engine(micro_batch=1).step([short, long], 1e-3), make_engine(micro_batch=2).step([short] * 2, 1e-3)
    assert [(numbers.all_tokens, numbers.padding) for numbers in mixed] == [(94, 0.0), (8, 0.0)]
    together = make_engine(micro_batch=2).step([short, EncodedRow((1, 2, 3, 4, 5, 6), 2, False)], 1e-3)
    assert (together.all_tokens, together.padding) == (10, pytest.approx(2 / 12))


@pytest.mark.parametrize("zero_stage", [1, 3])
def test_measuring_gives_the_loss_and_trains_nothing(make_engine: MakeEngine, zero_stage: int) -> None:
    engine, other = (make_engine(micro_batch=2, zero_stage=zero_stage) for _ in range(2))
    engine.step(BATCHES[0], 1e-2)
    other.step(BATCHES[0], 1e-2)
    total, tokens = engine.measure(BATCHES[1])
    numbers = engine.step(BATCHES[1], 1e-2)
    assert tokens == numbers.tokens
    assert total / tokens == pytest.approx(numbers.loss, abs=1e-6)
    assert numbers.loss == other.step(BATCHES[1], 1e-2).loss


@pytest.mark.parametrize("micro_batch", [4, 1])
def test_bf16_stays_close_to_fp32(make_engine: MakeEngine, micro_batch: int) -> None:
    import torch

    exact = make_engine().step(BATCHES[0], 1e-3)
    rough = make_engine(tiny.model().to(torch.bfloat16), precision="bf16", micro_batch=micro_batch).step(
        BATCHES[0], 1e-3
    )
    assert rough.loss == pytest.approx(exact.loss, abs=0.03)
    assert rough.grad_norm == pytest.approx(exact.grad_norm, rel=0.05)


@pytest.mark.parametrize("micro_batch", [1, 4])
def test_a_row_without_response_weighs_nothing_and_is_reported(make_engine: MakeEngine, micro_batch: int) -> None:
    blank = encode(tiny.kept(1, 0, output=""), READER, "chat", 96)
    alone = make_engine().step(ROWS[:2], 1e-3)
    beside = make_engine(micro_batch=micro_batch).step([*ROWS[:2], blank], 1e-3)
    assert beside.row_losses[2] is None
    assert beside.loss == pytest.approx(alone.loss, abs=1e-6)
    assert beside.loss_variance == pytest.approx(alone.loss_variance, abs=1e-7)
    assert beside.grad_norm == pytest.approx(alone.grad_norm, rel=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 4])
def test_a_batch_without_any_response_changes_nothing(make_engine: MakeEngine, micro_batch: int) -> None:
    blank = encode(tiny.kept(1, 0, output=""), READER, "chat", 96)
    engine, untouched = make_engine(micro_batch=micro_batch), make_engine(micro_batch=micro_batch)
    numbers = engine.step([blank, blank], 1e-3)
    assert (numbers.loss, numbers.tokens, numbers.updated) == (None, 0, False)
    assert engine.step(BATCHES[0], 1e-3).loss == untouched.step(BATCHES[0], 1e-3).loss


@pytest.mark.parametrize(
    ("precision", "micro_batch", "zero_stage", "bad_number"),
    [
        ("fp32", 4, 1, "nan"),
        ("bf16", 2, 1, "inf"),
        ("fp32", 2, 0, "inf"),
        ("bf16", 2, 0, "nan"),
        ("fp32", 2, 2, "nan"),
        ("bf16", 2, 3, "nan"),
        ("fp32", 4, 3, "inf"),
    ],
)
def test_a_loss_that_is_not_a_number_is_none_and_the_next_step_is_as_if_it_had_not_been(
    make_engine: MakeEngine, precision: str, micro_batch: int, zero_stage: int, bad_number: str
) -> None:
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    poisoned, clean = tiny.model().to(dtype), tiny.model().to(dtype)
    poison = [1.0]
    poisoned.lm_head.register_forward_hook(lambda _module, _inputs, logits: logits * poison[0])
    engine, other = (
        make_engine(model, precision=precision, micro_batch=micro_batch, zero_stage=zero_stage)
        for model in (poisoned, clean)
    )
    assert engine.step(BATCHES[0], 1e-3).loss == other.step(BATCHES[0], 1e-3).loss
    poison[0] = float(bad_number)
    bad = engine.step(BATCHES[1], 1e-3)
    assert (bad.loss, bad.loss_variance, bad.grad_norm, bad.updated) == (None, None, None, False)
    poison[0] = 1.0
    assert engine.step(BATCHES[2], 1e-3).loss == other.step(BATCHES[2], 1e-3).loss


@pytest.mark.parametrize("zero_stage", [1, 3])
def test_the_saved_model_is_the_trained_one(make_engine: MakeEngine, tmp_path: Path, zero_stage: int) -> None:
    import torch

    engine = make_engine(zero_stage=zero_stage)
    engine.step(BATCHES[0], 1e-2)
    engine.save_model(tmp_path / "model")
    with capture_output(tmp_path / "log"):
        loaded = load_model(str(tmp_path / "model"), "fp32", None)
    loss, _, _ = plain_step(loaded, torch.optim.AdamW(loaded.parameters()), BATCHES[1])
    assert engine.step(BATCHES[1], 1e-2).loss == pytest.approx(loss, abs=1e-5)


def test_the_trainer_is_imported_without_torch() -> None:
    probe = "import sys, consumers.trainer.run; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False, timeout=60).returncode == 0
