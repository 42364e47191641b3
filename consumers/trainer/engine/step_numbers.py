"""What a training step measures, and the exact sums it is measured by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StepNumbers:
    """Numbers of a step over the whole batch, the same on every rank; None for one that is not finite.

    loss            mean over the batch's response tokens
    row_losses      mean over each row's response tokens, by rank and slot; None for a row without any
    loss_variance   population variance of the row losses
    grad_norm       L2 norm of the whole gradient before clipping
    tokens          response tokens; `all_tokens` with the prompts
    padding         share of padding in the model's input
    memory_bytes    peak of any rank's device memory (on the CPU: resident memory) since it began
    updated         whether the weights were changed
    """

    loss: float | None
    row_losses: tuple[float | None, ...]
    loss_variance: float | None
    grad_norm: float | None
    tokens: int
    seconds: float
    updated: bool
    all_tokens: int = 0
    padding: float = 0.0
    memory_bytes: int = 0


def finite(number: float) -> float | None:
    """The number; None for nan and infinities."""
    return number if math.isfinite(number) else None


def exact_sum(numbers: Sequence[float]) -> float:
    """The sum, rounded once, so that it does not depend on the order; nan when any number is not finite."""
    return math.fsum(numbers) if all(map(math.isfinite, numbers)) else math.nan


def variance(numbers: Sequence[float]) -> float | None:
    """The population variance; None without numbers, and when any is not finite."""
    if not numbers or not all(map(math.isfinite, numbers)):
        return None
    mean = math.fsum(numbers) / len(numbers)
    return finite(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))
