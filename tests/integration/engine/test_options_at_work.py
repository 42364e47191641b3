"""Options of the engine reach it, and what it leaves."""

from pathlib import Path

import pytest

from schemas.errors import TrainerError
from tests.integration.engine.test_offline import GOLDEN, run
from tests.unit.trainer import tiny


def test_a_model_that_gives_no_numbers_ends_the_training_after_so_many_steps(tmp_path: Path) -> None:
    broken = tiny.save_tiny(tmp_path / "broken")
    model = tiny.model()
    model.model.norm.weight.data.fill_(float("nan"))
    model.save_pretrained(broken)
    with pytest.raises(TrainerError, match=r"3 steps in a row \(from 1 on\).*rows are"):
        run(tmp_path / "out", broken, from_files=GOLDEN, max_skipped=3)


def test_adapters_are_trained_checkpointed_and_left_beside_the_merged_model(tmp_path: Path, tiny_folder: Path) -> None:
    changes = {"from_files": GOLDEN, "lora_rank": 4, "lora_targets": ("q_proj", "v_proj")}
    summary, steps = run(tmp_path / "out", tiny_folder, max_steps=4, **changes)
    assert steps[-1].loss < steps[0].loss  # type: ignore[operator]
    assert summary.model_folder is not None
    assert (summary.model_folder / "model.safetensors").is_file()
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
    again, _ = run(tmp_path / "out", tiny_folder, max_steps=5, **changes)
    assert (again.resumed_from, again.steps) == (4, 5)
    with pytest.raises(TrainerError, match="lora"):
        run(tmp_path / "out", tiny_folder, max_steps=6, **{**changes, "lora_alpha": 2.0})


def test_nothing_split_and_activations_made_again_give_the_losses_of_the_defaults(
    tmp_path: Path, tiny_folder: Path
) -> None:
    one, other = (
        run(tmp_path / name, tiny_folder, from_files=GOLDEN, max_steps=3, **changes)[1]
        for name, changes in (("a", {}), ("b", {"zero_stage": 0, "activation_checkpointing": True}))
    )
    assert [step.loss for step in other] == pytest.approx([step.loss for step in one], abs=1e-5)
