"""A checkpoint becomes the model that its training would write: the same weights, tokenizer and prompts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from consumers.trainer.result.checkpoint import STATE
from consumers.trainer.result.checkpoint_model import model_of_checkpoint
from consumers.trainer.result.seal import KEY
from consumers.trainer.run import TrainOptions, train
from infra.log.archive import ArchiveSource
from infra.models.model_info import ModelInfo, read_model_info
from infra.settings import Settings
from schemas.errors import TrainerError, UntrustedCheckpoint
from sedi.eval.model_source import model_source
from tests.golden import HERE

GOLDEN = HERE / "undisturbed"
RUN = ArchiveSource(GOLDEN).run
STEP = 6


def trained(state_dir: Path, model: Path, **changes: Any) -> Path:
    """The output folder of a training of six steps, with a checkpoint every three."""
    options: dict[str, Any] = {
        "run": RUN,
        "model": str(model),
        "offline": True,
        "from_files": GOLDEN,
        "max_steps": STEP,
        "checkpoint_every": 3,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "learning_rate": 1e-2,
        "max_length": 64,
        "tensorboard": False,
        **changes,
    }
    train(TrainOptions(**options), Settings(state_dir=state_dir), say=lambda line: None)
    return state_dir / RUN


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bf16", "zero_stage": 0},
        {"zero_stage": 3, "layers": 1},
        {"lora_rank": 4, "lora_targets": ("q_proj", "up_proj"), "zero_stage": 2},
    ],
    ids=str,
)
def test_it_is_the_model_that_the_training_writes(tmp_path: Path, tiny_folder: Path, changes: dict[str, Any]) -> None:
    output = trained(tmp_path / "state", tiny_folder, **changes)
    folder = model_of_checkpoint(output, STEP, tmp_path / "cache")
    for name in ("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (output / "model" / name).read_bytes(), name
    info = read_model_info(folder)
    assert info == read_model_info(output / "model")
    assert isinstance(info, ModelInfo)
    assert (info.run, info.steps, info.template) == (RUN, STEP, "chat")
    assert info.offsets is not None
    assert sum(info.offsets) >= STEP


def test_a_model_in_the_middle_is_found_by_its_step(tmp_path: Path, tiny_folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    output = trained(tmp_path / "state", tiny_folder)
    settings = Settings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")
    lines: list[str] = []
    early, again, late = (
        model_source(f"run:{RUN}@{step}", settings, lines.append, trust=False) for step in (3, 3, STEP)
    )
    assert early == again
    assert len(lines) == 2  # made once each
    assert (early.model.name, early.model.trained and early.model.trained.step) == (f"{RUN}@3", 3)
    assert early.model.key != late.model.key
    assert early.folder is not None
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        logits = [
            AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits
            for folder in (early.folder, late.folder, output / "model")
        ]
    assert not torch.equal(logits[0], logits[2])
    assert torch.equal(logits[1], logits[2])
    with pytest.raises(TrainerError, match="There are those of steps 3, 6"):
        model_of_checkpoint(output, 4, tmp_path / "cache")


def test_a_foreign_or_damaged_checkpoint_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    output = trained(tmp_path / "state", tiny_folder)
    path = output / "checkpoints" / f"step-{STEP:08d}"
    (tmp_path / "state" / KEY).unlink()
    with pytest.raises(UntrustedCheckpoint):
        model_of_checkpoint(output, STEP, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    assert model_of_checkpoint(output, STEP, tmp_path / "cache", trust=True).is_dir()
    state = json.loads((path / STATE).read_bytes())
    del state["state"]["trained_from"]  # as before it was saved
    (path / STATE).write_bytes(json.dumps(state).encode())
    with pytest.raises(TrainerError, match="does not say which model it was trained from"):
        model_of_checkpoint(output, STEP, tmp_path / "cache", trust=True)
    (path / "mp_rank_00_model_states.pt").write_bytes(b"")
    with pytest.raises(TrainerError, match="damaged"):
        model_of_checkpoint(output, STEP, tmp_path / "cache", trust=True)


def test_rows_of_a_file_have_no_offsets_of_a_run(tmp_path: Path, tiny_folder: Path) -> None:
    rows = [{"instruction": f"Say {n}", "output": f"{n}"} for n in range(12)]
    (tmp_path / f"{RUN}.json").write_text(json.dumps(rows))
    changes = {"from_files": None, "data": tmp_path / f"{RUN}.json", "batch_size": 2}
    output = trained(tmp_path / "state", tiny_folder, **changes)
    for folder in (output / "model", model_of_checkpoint(output, STEP, tmp_path / "cache")):
        info = read_model_info(folder)
        assert (info and info.steps, info and info.offsets) == (STEP, None)


def test_a_base_model_that_is_gone_is_named(tmp_path: Path, tiny_folder: Path) -> None:
    base = shutil.copytree(tiny_folder, tmp_path / "base")
    output = trained(tmp_path / "state", base)
    shutil.rmtree(base)
    with pytest.raises(TrainerError, match=str(base)):
        model_of_checkpoint(output, STEP, tmp_path / "cache")


def test_a_seal_from_before_stays_valid(tmp_path: Path, tiny_folder: Path) -> None:
    """What is not in an old state must not change the bytes that its seal is of."""
    import msgspec

    from consumers.trainer.result.checkpoint import TrainerState, verified
    from consumers.trainer.result.seal import Seal

    output = trained(tmp_path / "state", tiny_folder)
    path = output / "checkpoints" / f"step-{STEP:08d}"
    whole = msgspec.json.decode((path / STATE).read_bytes())
    del whole["state"]["trained_from"]
    seal = Seal.of(tmp_path / "state")
    whole["seal"] = seal.sign(msgspec.json.encode((whole["state"], whole["files"])))
    (path / STATE).write_bytes(msgspec.json.encode(whole))
    state = verified(path, seal)
    assert isinstance(state, TrainerState)
    assert state.trained_from is None
