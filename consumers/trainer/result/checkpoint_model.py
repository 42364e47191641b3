"""A checkpoint's weights as a folder that transformers loads, so that a model can be evaluated while it is trained."""

from collections.abc import Callable
from pathlib import Path

from schemas.errors import TrainerError


def model_of_checkpoint(
    output: Path, step: int, cache: Path, say: Callable[[str], None] = lambda line: None, *, trust: bool = False
) -> Path:
    """The folder of the model at `step` of the training in `output`, made under `cache` unless it is there.

    Raises TrainerError when there is no such checkpoint, or it cannot be read; UntrustedCheckpoint when another
    installation wrote it, unless `trust`.
    """
    raise TrainerError("Reading a checkpoint's model is not built yet.")
