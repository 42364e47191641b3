"""LoRA trains adapters and nothing else; what comes out is an adapter, and a model in which it is merged."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from consumers.trainer.engine.lora import Lora, with_adapters
from consumers.trainer.engine.step import Engine
from consumers.trainer.record.output_capture import capture_output
from schemas.errors import TrainerError
from tests.integration.engine.conftest import MakeEngine
from tests.integration.engine.test_engine import BATCHES
from tests.unit.trainer import tiny

EIGHT = Lora(rank=8, alpha=16.0)
STAGES = [("fp32", 1), ("bf16", 1), ("fp32", 2), ("bf16", 3)]


def lora_model(precision: str = "fp32", lora: Lora = EIGHT, seed: int = 7) -> Any:
    import torch

    model = tiny.model().to(torch.bfloat16 if precision == "bf16" else torch.float32)
    torch.manual_seed(seed)
    return with_adapters(model, lora)


def losses(engine: Engine, first: int, count: int) -> list[float | None]:
    return [engine.step(BATCHES[step % 3], 1e-2).loss for step in range(first, first + count)]


@pytest.mark.parametrize(("precision", "zero_stage"), STAGES)
def test_it_learns_resumes_to_the_last_bit_and_comes_out_merged_and_as_an_adapter(
    make_engine: MakeEngine, tmp_path: Path, precision: str, zero_stage: int
) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    with_dropout = Lora(rank=8, alpha=16.0, dropout=0.1)
    first = make_engine(lora_model(precision, with_dropout), precision=precision, zero_stage=zero_stage)
    begun = losses(first, 0, 6)
    first.save(tmp_path, "checkpoint")
    undisturbed = losses(first, 6, 3)
    assert undisturbed[0] < begun[0] - 0.05  # type: ignore[operator]

    second = make_engine(lora_model(precision, with_dropout, seed=8), precision=precision, zero_stage=zero_stage)
    second.load(tmp_path, "checkpoint")
    assert losses(second, 6, 3) == undisturbed

    second.save_model(tmp_path / "model")
    assert second.save_adapter(tmp_path / "adapter")
    measured = second.measure(BATCHES[0])[0]
    with capture_output(tmp_path / "log"):
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
        beside = peft.PeftModel.from_pretrained(tiny.model().to(merged.dtype), tmp_path / "adapter", is_trainable=True)
    for loaded in (merged, beside):
        again = make_engine(loaded.train().float(), zero_stage=0)
        assert again.measure(BATCHES[0])[0] == pytest.approx(measured, rel=1e-5 if precision == "fp32" else 1e-2)


def test_the_base_model_stays_as_it_was_and_is_in_no_checkpoint(make_engine: MakeEngine, tmp_path: Path) -> None:
    import torch

    model = lora_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    engine = make_engine(model)
    losses(engine, 0, 2)
    after = model.state_dict()
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {name for name in before if ".lora_" in name}
    engine.save(tmp_path, "one")
    saved = torch.load(tmp_path / "one" / "mp_rank_00_model_states.pt", weights_only=False)["module"]
    tied = {"base_model.model.lm_head.weight"}  # DeepSpeed leaves out one of its two names only
    assert changed <= set(saved) <= changed | tied


def test_an_engine_without_adapters_saves_none(make_engine: MakeEngine, tmp_path: Path) -> None:
    assert not make_engine().save_adapter(tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_targets_are_the_layers_that_are_named(make_engine: MakeEngine) -> None:
    model = lora_model(lora=Lora(rank=2, alpha=4.0, targets=("q_proj",)))
    trained = {name.split(".")[-4] for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"q_proj"}


@pytest.mark.parametrize(("target", "says"), [("no_such", "lora-targets"), ("embed_tokens", "not a linear layer")])
def test_targets_that_cannot_be_trained_are_refused(target: str, says: str) -> None:
    with pytest.raises(TrainerError, match=says), warnings.catch_warnings(action="ignore"):
        lora_model(lora=Lora(rank=2, alpha=4.0, targets=(target,)))
