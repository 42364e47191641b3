"""Models against the first one: the paired difference on the questions that both were measured on."""

from collections.abc import Iterable

from consumers.evaluation.measured import BenchmarkFold, Measured, with_arc
from consumers.evaluation.measures import METRIC, text_columns, title_of
from consumers.evaluation.results import BenchmarkDifference, Interval
from consumers.evaluation.statistics import ratio_interval, weighted_mean

FEWEST_CHANGES = 6
"""Questions that must have changed before a difference is called clear, whatever the interval: 2 / 2^6 is below 5 %."""


def differences_of(measured: Measured, models: Iterable[str], *, rng_seed: int = 0) -> tuple[BenchmarkDifference, ...]:
    """Each model against the first of `models` (keys), by benchmark in the order of the log.

    Only benchmarks with common questions are compared: they have the same version, shots and data.
    """
    ordered = tuple(models)
    folds = {(fold.key, fold.model): fold for fold in with_arc(measured.folds.values())}
    found: list[BenchmarkDifference | None] = []
    for key in dict.fromkeys(key for key, _ in folds):
        before = folds.get((key, ordered[0])) if ordered else None
        for after in (folds.get((key, model)) for model in ordered[1:]):
            if before is None or after is None:
                continue
            found += [_of_questions(before, after, rng_seed), _of_texts(before, after, rng_seed)]
    return tuple(difference for difference in found if difference is not None)


def _of_questions(before: BenchmarkFold, after: BenchmarkFold, rng_seed: int) -> BenchmarkDifference | None:
    common = [id for id in before.questions if id in after.questions]
    if not common:
        return None
    weights = before.weights(common)
    first = [float(before.questions[id].right) for id in common]
    second = [float(after.questions[id].right) for id in common]
    changes = [weight * (now - was) for was, now, weight in zip(first, second, weights, strict=True)]
    return _difference(
        before,
        after,
        title_of(before.name),
        METRIC,
        len(common),
        (weighted_mean(zip(weights, first, strict=True)), weighted_mean(zip(weights, second, strict=True))),
        (sum(change > 0 for change in changes), sum(change < 0 for change in changes)),
        ratio_interval(changes, weights, rng_seed=rng_seed),
    )


def _of_texts(before: BenchmarkFold, after: BenchmarkFold, rng_seed: int) -> BenchmarkDifference | None:
    """Of texts; each model's own tokens count, so that models with different tokenizers cannot be compared so."""
    common = [id for id in before.texts if id in after.texts]
    if not common or any(before.texts[id].tokens != after.texts[id].tokens for id in common):
        return None
    first, tokens = text_columns(before, common)
    second, _ = text_columns(after, common)
    changes = [now - was for was, now in zip(first, second, strict=True)]
    return _difference(
        before,
        after,
        f"{title_of(before.name)}, {before.benchmark.form}",
        "loss",
        len(common),
        (sum(first) / sum(tokens), sum(second) / sum(tokens)),
        (sum(change < 0 for change in changes), sum(change > 0 for change in changes)),
        ratio_interval(changes, tokens, rng_seed=rng_seed),
    )


def _difference(
    before: BenchmarkFold,
    after: BenchmarkFold,
    title: str,
    metric: str,
    questions: int,
    scores: tuple[float, float],
    changed: tuple[int, int],
    difference: Interval,
) -> BenchmarkDifference:
    return BenchmarkDifference(
        first=before.model,
        second=after.model,
        benchmark=before.key,
        name=before.name,
        title=title,
        metric=metric,
        questions=questions,
        first_score=scores[0],
        second_score=scores[1],
        better=changed[0],
        worse=changed[1],
        difference=difference,
        clear=not difference.low <= 0 <= difference.high and sum(changed) >= FEWEST_CHANGES,
    )
