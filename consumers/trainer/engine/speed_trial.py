"""Measures in a few seconds how fast a model trains on this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consumers.trainer.options import PrecisionChoice
from infra.models import cpu, precision
from infra.models.device import Device, pick_device
from infra.models.loading import load_model

_ROWS, _TOKENS = 2, 48
_ROUNDS, _BUDGET_S = 3, 2.0  # no further round once this time is spent: one slow round is measured well enough


@dataclass(frozen=True)
class TrainingSpeed:
    """The speed of a model with all its `layers`.

    tokens_per_s   forward and backward
    update_s       seconds of an optimizer step
    precision      used in training, and the reason for it
    """

    tokens_per_s: float
    update_s: float
    layers: int
    precision: str
    reason: str


def measure_training_speed(
    model: str, *, threads: int | None = 1, device: Device = "auto", wanted: PrecisionChoice = "auto"
) -> TrainingSpeed:
    """The best of up to three rounds; `threads` are those of a CPU.

    Raises TrainerError when the model cannot be loaded, ConfigurationError when the device is not available.
    """
    cpu.passive_threads()
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    target = pick_device(device)
    if target == "cpu":
        cpu.keep_freed_memory()
    chosen = (
        precision.choose(target, training=True) if wanted == "auto" else precision.PrecisionChoice(wanted, "as chosen")
    )
    lm = load_model(model, chosen.precision, None).to(target)
    optimizer = torch.optim.AdamW(lm.parameters(), lr=0.0, fused=True)
    tokens = torch.full((_ROWS, _TOKENS), 7, device=target)

    def forward_backward() -> None:
        lm(input_ids=tokens, labels=tokens).loss.backward()

    rounds = [_timed(torch, target, forward_backward)]
    while len(rounds) < _ROUNDS and sum(rounds) < _BUDGET_S:
        rounds.append(_timed(torch, target, forward_backward))
    optimizer.step()  # the first one allocates the optimizer's state
    update_s = _timed(torch, target, optimizer.step)
    layers = lm.config.get_text_config().num_hidden_layers
    return TrainingSpeed(_ROWS * _TOKENS / min(rounds), update_s, layers, chosen.precision, chosen.reason)


def _timed(torch: Any, target: str, work: Callable[[], object]) -> float:
    wait = torch.cuda.synchronize if target == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started
