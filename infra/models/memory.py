"""Peak memory of a training, and which errors mean out-of-memory."""

import resource
import sys
from typing import Any

_HOST_MESSAGES = ("can't allocate memory", "not enough memory", "cannot allocate memory")


def peak_bytes(device: Any) -> int:
    """This process's peak since its start: torch's memory on a GPU, the resident set on the CPU."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_exhausted(error: BaseException) -> bool:
    """Whether the error means out-of-memory, on the GPU or on the host."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _HOST_MESSAGES)
