"""How fast a trainee learns on this machine, by a trial of a few seconds."""

import time
from dataclasses import dataclass

from consumers.trainer import cpu
from consumers.trainer.trainee import load_trainee
from infra import precision
from infra.precision import Precision

_ROWS, _TOKENS = 2, 64
_ROUNDS = 2


@dataclass(frozen=True)
class TraineeSpeed:
    """Tokens a second, forward and backward, of a model with all its `layers`, in the precision that `auto` takes."""

    tokens_per_s: float
    layers: int
    precision: Precision
    reason: str


def trainee_speed(model: str, threads: int = 1) -> TraineeSpeed:
    """The best of a few passes on the CPU with so many threads. Raises TrainerError when the model cannot be loaded."""
    cpu.passive_threads()
    import torch

    torch.set_num_threads(threads)
    cpu.keep_freed_memory()
    chosen = precision.choose("cpu", training=True)
    trainee = load_trainee(model, chosen.precision, None)
    tokens = torch.full((_ROWS, _TOKENS), 7)
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        trainee(input_ids=tokens, labels=tokens).loss.backward()
        best = min(best, time.perf_counter() - started)
        trainee.zero_grad(set_to_none=False)
    layers = trainee.config.get_text_config().num_hidden_layers
    return TraineeSpeed(_ROWS * _TOKENS / best, layers, chosen.precision, chosen.reason)
