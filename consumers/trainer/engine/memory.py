"""How much memory a training took at its peak, and whether an error says that there was not enough of it."""

import resource
import sys
from typing import Any

_HOST_WORDS = ("can't allocate memory", "not enough memory", "cannot allocate memory")


def peak_bytes(device: Any) -> int:
    """Of this process since its start: on a GPU what torch has held there, else the resident set."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_exhausted(error: BaseException) -> bool:
    """Whether memory, of the GPU or of this machine, was not enough."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _HOST_WORDS)


def give_back(device: Any) -> None:
    """Return what torch holds of the GPU without using it."""
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
