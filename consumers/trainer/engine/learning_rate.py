"""The learning-rate schedule as a pure function of the step, so that a checkpoint needs no scheduler state."""

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def warmup_steps(ratio: float, planned_steps: int) -> int:
    """Steps of linear warm-up: the ratio of the planned steps, rounded up as Hugging Face's Trainer does."""
    return math.ceil(ratio * planned_steps)


def learning_rate(step: int, *, peak: float, schedule: Schedule, warmup: int, planned_steps: int) -> float:
    """The rate of a step, counted from 1. It rises linearly over `warmup` steps, from above 0; then it is constant, or
    falls to 0 right after the last planned step. Later steps keep the last planned step's rate."""
    if step <= warmup:
        return peak * step / (warmup + 1)
    if schedule == "constant":
        return peak
    done = min(step, planned_steps) - warmup - 1
    progress = max(0, done) / max(1, planned_steps - warmup)
    return peak * (1.0 - progress) if schedule == "linear" else peak * 0.5 * (1.0 + math.cos(math.pi * progress))
