"""The model is loaded from a folder, whole or its first layers; what cannot be used is refused with a remedy."""

import shutil
from pathlib import Path

import pytest

from infra.models.loading import keep_first_layers, load_model, load_tokenizer, model_name
from schemas.errors import TrainerError
from tests.unit.trainer import tiny


def test_the_first_layers_are_a_smaller_model_that_saves_and_loads(tiny_folder: Path, tmp_path: Path) -> None:
    model = load_model(str(tiny_folder), "fp32", layers=1)
    model.save_pretrained(tmp_path)
    assert load_model(str(tmp_path), "fp32", layers=None).config.num_hidden_layers == 1


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(TrainerError, match="only 2"):
        keep_first_layers(tiny.model(), 3)


def test_the_precision_is_that_of_the_weights(tiny_folder: Path) -> None:
    assert {str(p.dtype) for p in load_model(str(tiny_folder), "bf16", None).parameters()} == {"torch.bfloat16"}


def test_a_missing_folder_is_named_and_not_looked_for_on_a_hub(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="no model folder"):
        load_model(str(tmp_path / "none"), "fp32", None)


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"config\.json"):
        load_tokenizer(str(tmp_path))


def test_a_broken_model_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(TrainerError, match="cannot be loaded"):
        load_model(str(tmp_path), "fp32", None)


def test_damaged_weights_and_a_damaged_configuration_are_errors_of_ours(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(TrainerError, match="cannot be loaded"):
        load_model(str(folder), "fp32", None)
    (folder / "config.json").write_text("[]")
    with pytest.raises(TrainerError, match="cannot be loaded"):
        load_tokenizer(str(folder))


def test_a_name_shows_how_much_of_the_model_is_used(tiny_folder: Path) -> None:
    assert model_name(str(tiny_folder), None) == tiny_folder.name
    assert model_name("owner/model", 8) == "owner/model[:8]"
