"""`sedi.json`, which lies beside the weights of a trained model."""

from pathlib import Path

import msgspec

from infra.models.templates import Template
from infra.models.turned_rows import Task
from schemas.errors import TrainerError

MODEL_INFO = "sedi.json"


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`sedi.json`: what a program needs to prompt the model, and what it was trained on.

    task      what it was trained for
    offsets   of each partition of `kept` or `answered`, the offset after the last row trained; None: not known
    """

    run: str
    template: Template
    steps: int
    task: Task = "follow"
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


def is_instruction_generator(folder: Path) -> bool:
    """Whether the model was trained to write the instruction to a text. Raises TrainerError as `read_model_info`."""
    info = read_model_info(folder)
    return info is not None and info.task == "instruct"


def warning_of_task(folder: Path) -> str | None:
    """What to tell somebody who wants a model that follows instructions; None for any but an instruction generator.

    A `sedi.json` that cannot be read warns of nothing: whoever loads the model reports it.
    """
    try:
        if not is_instruction_generator(folder):
            return None
    except TrainerError:
        return None
    return (
        f"The model {folder} was trained to write instructions to texts (`sedi train --task instruct`) and follows "
        "none: it will answer anything with an instruction. Use it with `sedi generate --producer goliath`."
    )
