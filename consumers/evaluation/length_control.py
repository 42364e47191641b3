"""The win rate with the lengths of the answers held equal, without a difficulty term.

How it works. A logistic regression explains the preference by two terms: which model it is, a constant, and the
difference of the answers' lengths in characters, as tanh(difference / standard deviation of the differences). Its
prediction at no difference is the rate. A preference between 0 and 1 counts as that much of a win and the rest of a
loss. Penalty (L1, C = 100), standardisation and tanh are those of AlpacaEval's length-controlled win rate (Dubois et
al., 2024); two things differ. The published one also has a term for each instruction's difficulty, from a table of
all models' results, and chooses C by five folds. So this is another number than the published one, and is named so.

Exchanging the models gives one minus the rate, up to the solver's tolerance.
"""

import numpy as np
import numpy.typing as npt

from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import RESAMPLES, Floats, ends

FEWEST = 10
"""Preferences that a rate is computed of at least."""

_C = 100.0


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
    import sklearn

    rng = np.random.default_rng(rng_seed)
    resampled = np.empty(resamples)
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        value = _rate(wins, longer)
        for number in range(resamples):
            drawn = rng.integers(prompts, size=prompts)
            resampled[number] = _rate(wins[drawn], longer[drawn])
    low, high = ends(resampled)
    return Interval(value=value, low=min(low, value), high=max(high, value))


def _rate(wins: Floats, longer: Floats) -> float:
    spread = longer.std(ddof=1)
    if spread == 0:
        return float(wins.mean())  # a constant difference cannot be told from the model
    from sklearn.linear_model import LogisticRegression

    terms = np.column_stack([np.tanh(longer / spread), np.ones(len(wins))])
    weights = np.concatenate([wins, 1 - wins])
    labels = np.concatenate([np.ones(len(wins)), np.zeros(len(wins))])
    counts = weights > 0
    if not np.ptp(labels[counts]):
        return float(wins[0])  # won, or lost, throughout: there is nothing to fit
    model = LogisticRegression(C=_C, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=0)
    model.fit(np.vstack([terms, terms])[counts], labels[counts], sample_weight=weights[counts])
    return float(1 / (1 + np.exp(-model.coef_[0][1])))
