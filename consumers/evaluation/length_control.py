"""The win rate with the lengths of the answers held equal, without a difficulty term.

How it works. A logistic regression explains the preference by two terms: which model it is, a constant, and the
difference of the answers' lengths in characters, as tanh(difference / standard deviation of the differences). Its
prediction at no difference is the rate. A preference between 0 and 1 counts as that much of a win and the rest of a
loss. Penalty (L1, C = 100), standardisation and tanh are those of AlpacaEval's length-controlled win rate (Dubois et
al., 2024); two things differ. The published one also has a term for each instruction's difficulty, from a table of
all models' results, and chooses C by five folds. So this is another number than the published one, and is named so.

The penalised likelihood has one maximum in two numbers, found by Newton's method for all resamples at once: the same as
scikit-learn's `liblinear` finds up to its tolerance, and several times faster. Exchanging the models gives one minus
the rate.
"""

import numpy as np
import numpy.typing as npt

from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import RESAMPLES, Floats, bootstrap, interval_of, logistic

FEWEST = 10
"""Preferences that a rate is computed of at least."""

_C = 100.0
_STEPS = 100
_HALVINGS = 30
_TOLERANCE = 1e-9
_SMALLEST = 1e-9  # curvature, where all is nearly won or lost


def length_controlled(
    preferences: npt.ArrayLike, differences: npt.ArrayLike, *, rng_seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """The rate with its interval, bootstrapped over prompts; None of fewer than `FEWEST` preferences.

    preferences   for the model, 0 to 1, [prompts]
    differences   length of its answer minus that of the other's, in characters, [prompts]
    """
    wins, longer = np.asarray(preferences, np.float64), np.asarray(differences, np.float64)
    prompts = len(wins)
    if prompts < FEWEST:
        return None
    ends = bootstrap(lambda drawn: _rates(wins[drawn], longer[drawn]), prompts, rng_seed=rng_seed, resamples=resamples)
    return interval_of(float(_rates(wins[None], longer[None])[0]), ends)


def _rates(wins: Floats, longer: Floats) -> Floats:
    """The rate of each sample of prompts, [samples], of wins and differences of length, [samples, prompts]."""
    spread = longer.std(axis=1, ddof=1, keepdims=True)
    rates: Floats = wins.mean(axis=1)  # a constant difference cannot be told from the model
    one_sided = (rates == 0) | (rates == 1)  # won, or lost, throughout: there is nothing to fit
    fitted = (spread[:, 0] > 0) & ~one_sided
    if fitted.any():
        rates[fitted] = logistic(_constants(np.tanh(longer[fitted] / spread[fitted]), wins[fitted]))
    return rates


def _constants(terms: Floats, wins: Floats) -> Floats:
    """The constant of each sample's regression, [samples], on one term besides, [samples, prompts]."""
    found = np.zeros((2, len(wins)))  # of the term, and the constant
    loss = _loss(found, terms, wins)
    for _ in range(_STEPS):
        beats = logistic(found[0][:, None] * terms + found[1][:, None])
        wrong, bend = beats - wins, beats * (1 - beats)
        slope = np.stack([(wrong * terms).sum(axis=1), wrong.sum(axis=1)])
        curve = np.stack([(bend * terms**2).sum(axis=1), (bend * terms).sum(axis=1), bend.sum(axis=1)])
        step = _best_of_model(found, slope, curve) - found
        length = np.ones(len(wins))
        for _ in range(_HALVINGS):
            tried = _loss(found + length * step, terms, wins)
            worse = tried > loss + _TOLERANCE
            if not worse.any():
                break
            length[worse] /= 2
        found, loss = found + length * step, tried
        if np.abs(length * step).max() < _TOLERANCE:
            break
    constants: Floats = found[1]
    return constants


def _loss(found: Floats, terms: Floats, wins: Floats) -> Floats:
    """Negative log-likelihood with the penalty, [samples]."""
    odds = found[0][:, None] * terms + found[1][:, None]
    surprise: Floats = (np.logaddexp(0, odds) - wins * odds).sum(axis=1) + np.abs(found).sum(axis=0) / _C
    return surprise


def _best_of_model(found: Floats, slope: Floats, curve: Floats) -> Floats:
    """Where the quadratic model of the likelihood around `found`, with the penalty, is least, [2, samples].

    The penalty has a kink where a number is 0. So the least is one of nine: either number is positive, negative or 0.
    """
    term, both, constant = curve + _SMALLEST * np.array([[1.0], [0.0], [1.0]])
    pull = np.stack([term * found[0] + both * found[1], both * found[0] + constant * found[1]]) - slope
    determinant = np.maximum(term * constant - both**2, _SMALLEST**2)
    candidates = [np.zeros_like(found)]
    for first in (-1, 1):
        candidates.append(np.stack([(pull[0] - first / _C) / term, np.zeros(found.shape[1])]))
        candidates.append(np.stack([np.zeros(found.shape[1]), (pull[1] - first / _C) / constant]))
        for second in (-1, 1):
            left, right = pull[0] - first / _C, pull[1] - second / _C
            candidates.append(np.stack([constant * left - both * right, term * right - both * left]) / determinant)
    at = np.stack(candidates)
    curved = term * at[:, 0] ** 2 + 2 * both * at[:, 0] * at[:, 1] + constant * at[:, 1] ** 2
    values = curved / 2 - (pull * at).sum(axis=1) + np.abs(at).sum(axis=1) / _C
    best: Floats = at[values.argmin(axis=0), :, np.arange(found.shape[1])].T
    return best
