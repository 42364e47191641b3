"""`sedi.json`, which lies beside the weights of a trained model."""

from pathlib import Path

import msgspec

from infra.models.templates import Template
from schemas.errors import TrainerError

MODEL_INFO = "sedi.json"


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`sedi.json`: what a program needs to prompt the model, and what it was trained on.

    offsets   of each partition of `kept`, the offset after the last row trained; None: not known
    """

    run: str
    template: Template
    steps: int
    offsets: tuple[int, ...] | None = None


def read_model_info(folder: Path) -> ModelInfo | None:
    """`sedi.json` of a model's folder; None without one. Raises TrainerError when it cannot be read."""
    path = folder / MODEL_INFO
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelInfo)
    except (OSError, msgspec.MsgspecError) as error:
        raise TrainerError(f"{path} cannot be read: {error}. Run `sedi train` again to write the model.") from error
