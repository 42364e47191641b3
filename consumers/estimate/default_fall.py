"""How the yield of a run falls that has not shown it yet, in the form `power` of `consumers.folds.yield_forms`.

A handful of generations shows the first yield, not its fall. So the fall is drawn between two that were measured: that
of the built-in model in the yield study (the first 4,500 kept of rng seeds 1 and 2), which hardly repeats itself; and
that of the paper's model (SeDi-Instruct, Fig. 1: 24,000 generated for 10,000 kept at 0.7; 36 % fewer calls at 0.85). A
stricter threshold makes it fall faster: between the two thresholds, and beyond them, `θ` is interpolated.
"""

import numpy as np

from consumers.folds.yield_forms import Floats, Form

FORM: Form = "power"

_THRESHOLDS = (0.7, 0.85)
_SLOWEST = (0.033, 0.007)
"""`θ` of the built-in model, at these thresholds."""

_FASTEST = (0.366, 0.135)
"""`θ` that the paper's numbers come to, with a first yield of 0.75 and 0.86 (docs/decisions/load-model.md)."""


def slopes(threshold: float, count: int, rng: np.random.Generator) -> Floats:
    """So many draws of `θ`, from the slowest to the fastest fall. Shape: (count,)."""
    return rng.uniform(_at(threshold, _SLOWEST), _at(threshold, _FASTEST), count)


def _at(threshold: float, measured: tuple[float, float]) -> float:
    (low, high), (strict, loose) = _THRESHOLDS, measured
    return max(0.0, strict + (threshold - low) / (high - low) * (loose - strict))
