"""The precision that a model is trained or run in on this machine: one choice for the whole project.

On the CPU it is measured, not derived from CPU flags: both types run the same small piece of a language model, forward
and backward, in turn, on one thread. Without bf16 instructions a processor converts at every operation and is many
times slower; with them it may be twice as fast or no faster at all. CPU time is compared, since other processes of a
run start meanwhile and distort wall time. bf16 must be faster by a tenth, since fp32 is more exact. A GPU computes in
bf16 where it supports it natively.

    python -m infra.models.precision       this machine's precision and the reason, as JSON
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec

Precision = Literal["bf16", "fp16", "fp32"]

GAIN = 1.1
"""How much faster bf16 must be on a CPU."""

_TOKENS, _WIDTH, _INNER = 128, 576, 1536  # of a model of 135 M parameters
_ROUNDS, _LEAST_ROUNDS = 8, 2
_BUDGET_S = 0.6  # of CPU time, after which no further round begins
_HOPELESS = 3.0  # times as slow as fp32: bf16 is not measured further


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision, the reason as a sentence, and on a CPU the milliseconds of the same work in each type."""

    precision: Precision
    reason: str
    milliseconds: Mapping[str, float] | None = None


def choose(device: str, *, training: bool) -> PrecisionChoice:
    """The precision for `cpu` or `cuda`. On a CPU the first call in a process measures, for less than a second. It
    leaves torch's threads and random states unchanged."""
    if device == "cuda":
        return _for_gpu(training)
    return for_cpu(measured())


def for_cpu(milliseconds: Mapping[str, float]) -> PrecisionChoice:
    """The precision for a CPU that needs so many milliseconds for the same work in `bf16` and `fp32`."""
    gain = milliseconds["fp32"] / milliseconds["bf16"]
    if gain >= GAIN:
        return PrecisionChoice("bf16", f"bf16 is {gain:.1f} times as fast as fp32 on this processor", milliseconds)
    slower = f"{1 / gain:.1f} times slower than" if gain < 1 else "hardly faster than"
    return PrecisionChoice("fp32", f"bf16 is {slower} fp32 on this processor", milliseconds)


def _for_gpu(training: bool) -> PrecisionChoice:
    import torch

    name = torch.cuda.get_device_name()
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return PrecisionChoice("bf16", f"{name} computes in bf16")
    if training:
        return PrecisionChoice(
            "fp32", f"{name} has no bf16, and the gradient norms that steer the seeds would need fp16 scaled"
        )
    return PrecisionChoice("fp16", f"{name} has no bf16")


@cache
def measured() -> Mapping[str, float]:
    """Milliseconds of CPU time for the same work in each type, the best of a few rounds."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would also measure what else runs here
    try:
        work = {name: _work(torch, dtype) for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
        return compared(lambda name, tokens: work[name](tokens), _TOKENS)
    finally:
        torch.set_num_threads(threads)


def compared(seconds: Callable[[str, int], float], tokens: int) -> Mapping[str, float]:
    """The best milliseconds of `fp32` and `bf16`; `seconds(type, tokens)` does the work and returns its time.

    An eighth of the tokens comes first, so that neither a slow bf16 nor a slow machine takes long. The first call at
    each size does not count, since kernels are compiled in it.
    """
    best: dict[str, float] = {}
    spent = 0.0
    for size, rounds in ((tokens // 8, _LEAST_ROUNDS), (tokens, _ROUNDS)):
        spent += seconds("fp32", size) + seconds("bf16", size)
        taken: list[tuple[float, float]] = []
        while len(taken) < rounds:
            taken.append((seconds("fp32", size), seconds("bf16", size)))
            spent += sum(taken[-1])
            if len(taken) < _LEAST_ROUNDS:
                continue
            fp32, bf16 = (1000 * min(each) for each in zip(*taken, strict=True))
            best = {"fp32": fp32, "bf16": bf16}
            if spent >= _BUDGET_S or bf16 > _HOPELESS * fp32:
                return best
    return best


def _work(torch: Any, dtype: Any) -> Callable[[int], float]:
    """Gives the CPU seconds of a forward and backward pass of so many tokens through one layer's gated MLP."""
    shapes = ((_INNER, _WIDTH), (_INNER, _WIDTH), (_WIDTH, _INNER))
    up, gate, down = weights = [torch.full(shape, 0.01, dtype=dtype, requires_grad=True) for shape in shapes]
    linear, silu = torch.nn.functional.linear, torch.nn.functional.silu

    def once(tokens: int) -> float:
        rows = torch.full((tokens, _WIDTH), 0.1, dtype=dtype, requires_grad=True)
        started = time.thread_time()
        linear(silu(linear(rows, gate)) * linear(rows, up), down).float().sum().backward()
        taken = time.thread_time() - started
        for weight in weights:
            weight.grad = None
        return taken

    return once


if __name__ == "__main__":
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(choose(device, training=True))) + b"\n")
