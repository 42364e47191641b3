"""Which model an evaluation is about: its name, the digest of its files, and the training that made it."""

import hashlib
from pathlib import Path
from typing import Literal

from infra.digest import sha256_of
from infra.models.model_info import read_model_info
from schemas.errors import ConfigurationError
from schemas.evaluation import EvaluatedModel, TrainedBy

_FILES = ("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json", "chat_template*", "*.model")
_WEIGHTS = "*.safetensors"


def identify(folder: Path, name: str, *, kind: Literal["folder", "hub"] = "folder", source: str = "") -> EvaluatedModel:
    """The model in a folder that transformers loads; `source` is the hub's name of one that comes from there.

    Raises ConfigurationError when the folder holds no weights, TrainerError when its `sedi.json` cannot be read.
    """
    info = read_model_info(folder)
    trained = None if info is None else TrainedBy(run=info.run, step=info.steps, offsets=info.offsets)
    return EvaluatedModel(
        name=name, kind=kind, source=source or folder.name, sha256=folder_sha256(folder), trained=trained
    )


def folder_sha256(folder: Path) -> str:
    """The digest of a model's weights, configuration and tokenizer. Other files, such as its card, do not count."""
    weights = sorted(folder.glob(_WEIGHTS))
    if not weights:
        raise ConfigurationError(
            f"The folder {folder} holds no weights (*.safetensors). Give a folder that transformers saved."
        )
    files = sorted({path for pattern in _FILES for path in folder.glob(pattern)} | set(weights))
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.name}\0{sha256_of(path)}\n".encode())
    return whole.hexdigest()
