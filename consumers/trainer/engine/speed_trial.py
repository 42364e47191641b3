"""How fast a trainee learns on this machine, by a trial of a few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consumers.trainer.engine import cpu
from consumers.trainer.engine.model import load_model_and_tokenizer
from consumers.trainer.options import Device, PrecisionChoice
from infra import precision

_ROWS, _TOKENS = 2, 48
_ROUNDS, _ENOUGH_S = 3, 2.0  # no further pass once the trial has taken so long: what is slow measures well enough


@dataclass(frozen=True)
class TraineeSpeed:
    """What a model with all its `layers` takes.

    tokens_per_s   forward and backward
    update_s       of the optimizer, a step
    precision      that is trained in, and the reason for it
    """

    tokens_per_s: float
    update_s: float
    layers: int
    precision: str
    reason: str


def trainee_speed(
    model: str, *, threads: int | None = 1, device: Device = "auto", wanted: PrecisionChoice = "auto"
) -> TraineeSpeed:
    """The best of up to three passes, with so many threads where it is the CPU.

    Raises TrainerError when the model cannot be loaded, ConfigurationError for a device that is not there.
    """
    cpu.passive_threads()
    import torch

    from consumers.trainer.engine.step import pick_device

    if threads is not None:
        torch.set_num_threads(threads)
    place = pick_device(device)
    if place == "cpu":
        cpu.keep_freed_memory()
    chosen = (
        precision.choose(place, training=True) if wanted == "auto" else precision.PrecisionChoice(wanted, "as is said")
    )
    trainee = load_model_and_tokenizer(model, chosen.precision, None).to(place)
    optimizer = torch.optim.AdamW(trainee.parameters(), lr=0.0, fused=True)
    tokens = torch.full((_ROWS, _TOKENS), 7, device=place)

    def one_pass() -> None:
        loss = trainee(input_ids=tokens, labels=tokens).loss
        loss.backward()

    passes = [_timed(torch, place, one_pass)]
    while len(passes) < _ROUNDS and sum(passes) < _ENOUGH_S:
        passes.append(_timed(torch, place, one_pass))
    optimizer.step()  # the first one makes room for the optimizer's state
    updated = _timed(torch, place, optimizer.step)
    layers = trainee.config.get_text_config().num_hidden_layers
    return TraineeSpeed(_ROWS * _TOKENS / min(passes), updated, layers, chosen.precision, chosen.reason)


def _timed(torch: Any, place: str, work: Callable[[], object]) -> float:
    started = _now(torch, place)
    work()
    return _now(torch, place) - started


def _now(torch: Any, place: str) -> float:
    if place == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
