"""Where a model computes."""

from typing import Literal

from schemas.errors import ConfigurationError

Device = Literal["auto", "cpu", "cuda"]


def pick_device(device: Device) -> str:
    """`cuda` or `cpu`. Raises ConfigurationError when CUDA is asked for and not available."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device is 'cuda', but torch finds no CUDA device. Take `cpu` or `auto`.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
