"""The strengths of three models or more, from all their comparisons by a judge (Bradley and Terry, 1952).

How it works. The log-odds that a model wins against another is the difference of their strengths; a tie is half a win
of each. The strengths of greatest likelihood are found by Newton's method, for all resamples at once. One tie of each
model with an average one is added, so that a model that always wins has a finite strength; beside the prompts of a
test set it hardly counts. The average strength is 0.

The intervals are bootstrapped over prompts: a prompt is drawn with all the comparisons on it. Models that no chain of
comparisons joins have no common scale; each such part with three models or more has an average of its own.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from consumers.evaluation.comparisons import outcome_of
from consumers.evaluation.judged_pairs import Contender, JudgedPairs, SetOfPrompts
from consumers.evaluation.results import Strength
from consumers.evaluation.statistics import RESAMPLES, Floats, ends, interval_of, logistic
from streams.core.evaluation.outcomes import POINTS, Equal

FEWEST_MODELS = 3

_ADDED = 1.0  # ties with an average model, of each model
_LONGEST_STEP = 1.0
_STEPS = 100
_TOLERANCE = 1e-10
_AT_ONCE = 20_000_000  # numbers held in memory at a time

Prompt = tuple[SetOfPrompts, str]


def strengths_of(
    found: JudgedPairs, *, equal: Equal = "tie", rng_seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Strength, ...]:
    """For each judge, the models by strength, the strongest first; none where fewer than three are joined."""
    result = []
    for judge in found.scores:
        scored: dict[tuple[Contender, Contender], dict[Prompt, float]] = {}
        for first, second in found.pairs(judge):
            points = {
                (prompt.set, prompt.id): POINTS[outcome]
                for prompt in found.prompts(judge, first, second)
                if (outcome := outcome_of(prompt, equal)) is not None
            }
            if points:
                scored[first, second] = points
        for part in _joined(scored):
            if len(part) >= FEWEST_MODELS:
                result += _strengths(judge, part, scored, rng_seed, resamples)
    return tuple(result)


def _strengths(
    judge: str,
    models: Sequence[Contender],
    scored: Mapping[tuple[Contender, Contender], Mapping[Prompt, float]],
    rng_seed: int,
    resamples: int,
) -> list[Strength]:
    pairs = {pair: points for pair, points in scored.items() if pair[0] in models}
    prompts = sorted({prompt for points in pairs.values() for prompt in points})
    place = {prompt: number for number, prompt in enumerate(prompts)}
    wins = np.zeros((len(prompts), len(models), len(models)))
    compared = dict.fromkeys(models, 0)
    for (first, second), points in pairs.items():
        row, column = models.index(first), models.index(second)
        for prompt, value in points.items():
            wins[place[prompt], row, column] += value
            wins[place[prompt], column, row] += 1 - value
        for model in (first, second):
            compared[model] += len(points)
    values = bradley_terry(wins.sum(axis=0)[None])[0]
    resampled = _resampled(wins, rng_seed, resamples)
    order = sorted(range(len(models)), key=lambda number: (-values[number], models[number].model))
    return [
        Strength(
            model=models[number].model,
            strength=interval_of(float(values[number]), ends(resampled[:, number])),
            judge=judge,
            system=models[number].system,
            conditions=models[number].others,
            prompts=compared[models[number]],
        )
        for number in order
    ]


def bradley_terry(wins: Floats) -> Floats:
    """Strengths with an average of 0, [..., models], of wins of row over column, [..., models, models]."""
    models = wins.shape[-1]
    of_row = wins.sum(axis=-1)
    together = wins + np.swapaxes(wins, -1, -2)
    found = np.zeros(of_row.shape)
    eye = np.eye(models)
    for _ in range(_STEPS):
        beats = logistic(found[..., :, None] - found[..., None, :])
        average = logistic(found)
        slope = of_row - (together * beats).sum(axis=-1) + _ADDED * (0.5 - average)
        bend = together * beats * (1 - beats)
        curvature = eye * (bend.sum(axis=-1) + _ADDED * average * (1 - average))[..., :, None] - bend
        step = np.linalg.solve(curvature, slope[..., None])[..., 0]
        longest = np.abs(step).max(axis=-1, keepdims=True)
        found = found + step * np.minimum(1.0, _LONGEST_STEP / np.maximum(longest, _LONGEST_STEP))
        if longest.max() < _TOLERANCE:
            break
    centred: Floats = found - found.mean(axis=-1, keepdims=True)
    return centred


def _resampled(wins: Floats, rng_seed: int, resamples: int) -> Floats:
    """Strengths of resampled prompts, [resamples, models]."""
    prompts, models, _ = wins.shape
    rng = np.random.default_rng(rng_seed)
    each = np.full(prompts, 1 / prompts)
    flat = wins.reshape(prompts, models * models)
    at_once = max(1, _AT_ONCE // max(prompts, models * models))
    parts = []
    for done in range(0, resamples, at_once):
        drawn = rng.multinomial(prompts, each, size=min(at_once, resamples - done)).astype(np.float64)
        parts.append(bradley_terry((drawn @ flat).reshape(-1, models, models)))
    return np.concatenate(parts)


def _joined(pairs: Mapping[tuple[Contender, Contender], object]) -> list[list[Contender]]:
    """The models in parts that a chain of pairs joins, each in the order of names."""
    part: dict[Contender, list[Contender]] = {}
    for first, second in pairs:
        ours, theirs = part.setdefault(first, [first]), part.setdefault(second, [second])
        if ours is not theirs:
            ours += theirs
            for model in theirs:
                part[model] = ours
    unique = {id(found): found for found in part.values()}
    return [sorted(found, key=lambda model: (model.model, model.conditions)) for found in unique.values()]
