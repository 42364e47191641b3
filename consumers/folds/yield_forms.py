"""The forms that a falling yield is fitted with, and the fit: a level `a` and at most one parameter `θ >= 0`.

    constant      y = a
    hyperbolic    y = a / (1 + θ k)
    exponential   y = a exp(-θ k)
    power         y = a (1 + k / 1000)^-θ

`k` is the number of kept instructions. The fit is by least squares over blocks of generations, weighted with the
variance of a binomial share. `θ` comes from a grid and `a` is the best one for it, so there is no iteration that could
fail, and the same blocks give the same numbers.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

Form = Literal["constant", "hyperbolic", "exponential", "power"]
FALLING: tuple[Form, ...] = ("hyperbolic", "exponential", "power")

Floats = npt.NDArray[np.float64]

_DRAWS = 200
_THOUSAND = 1000.0
GRID: Mapping[Form, Floats] = {
    "constant": np.zeros(1),
    "hyperbolic": np.concatenate([[0.0], np.logspace(-7, -1, 601)]),
    "exponential": np.concatenate([[0.0], np.logspace(-7, -2, 501)]),
    "power": np.concatenate([[0.0], np.logspace(-3, 1, 401)]),
}
"""Values of `θ`, one in 2.3 % steps."""


class BlockTable:
    """Blocks of generations as columns; each array is (blocks,)."""

    def __init__(self, kept: Floats, generated: Floats, shares: Floats) -> None:
        """`kept` is the number of kept instructions in the middle of a block, `shares` its yield."""
        self.kept, self.generated, self.shares = kept, generated, shares

    def fit(self, form: Form, grid: Floats) -> tuple[float, float]:
        """`a` and `θ`, with the weights of the fit itself."""
        fitted = (float(np.average(self.shares, weights=self.generated)), 0.0)
        for _ in range(3):
            levels, losses = self._levels(form, grid, self._weights(form, *fitted)[None, :])
            best = int(np.argmin(losses[0]))
            fitted = float(levels[0, best]), float(grid[best])
        return fitted

    def draws(self, form: Form, grid: Floats, fitted: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        """Fits to blocks drawn with replacement; the same ones each time."""
        rng = np.random.default_rng(0)
        size = len(self.shares)
        times = rng.multinomial(size, np.full(size, 1 / size), _DRAWS).astype(np.float64)
        levels, losses = self._levels(form, grid, times * self._weights(form, *fitted))
        best = np.argmin(losses, axis=1)
        return tuple((float(levels[row, at]), float(grid[at])) for row, at in enumerate(best))

    def _weights(self, form: Form, level: float, slope: float) -> Floats:
        share = np.clip(level * shape(form, self.kept, np.float64(slope)), 0.02, 0.98)
        weights: Floats = self.generated / (share * (1 - share))
        return weights

    def _levels(self, form: Form, grid: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """The best level and its loss, for each row of weights (draws, blocks) and each slope: (draws, slopes)."""
        shapes = shape(form, self.kept[None, :], grid[:, None])
        products, squares = weights @ (shapes * self.shares).T, weights @ (shapes**2).T
        levels = np.clip(products / squares, 1e-6, 1.0)
        losses = (weights @ self.shares**2)[:, None] - 2 * levels * products + levels**2 * squares
        return levels, losses


_SHAPES: Mapping[Form, Callable[[Floats, Floats], Floats]] = {
    "constant": lambda kept, slope: np.ones_like(kept * slope),
    "hyperbolic": lambda kept, slope: 1 / (1 + slope * kept),
    "exponential": lambda kept, slope: np.exp(-slope * kept),
    "power": lambda kept, slope: (1 + kept / _THOUSAND) ** -slope,
}

_INTEGRALS: Mapping[Form, Callable[[float, float], float]] = {
    "constant": lambda kept, slope: kept,
    "hyperbolic": lambda kept, slope: kept + slope * kept**2 / 2,
    "exponential": lambda kept, slope: math.expm1(slope * kept) / slope if slope else kept,
    "power": lambda kept, slope: _THOUSAND / (slope + 1) * ((1 + kept / _THOUSAND) ** (slope + 1) - 1),
}
"""Of 1 / shape, from 0 to so many kept."""


def shape(form: Form, kept: Floats | np.float64, slope: Floats | np.float64) -> Floats:
    """The yield relative to its level."""
    return _SHAPES[form](np.asarray(kept), np.asarray(slope))


def candidates(form: Form, level: float, slope: float, kept_from: int, kept_to: int) -> float:
    """Instructions to generate to get from so many kept to so many; infinite when the yield falls to nothing."""
    integral = _INTEGRALS[form]
    try:
        return (integral(kept_to, slope) - integral(kept_from, slope)) / level
    except OverflowError:
        return math.inf
