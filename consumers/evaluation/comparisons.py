"""Two models compared by a judge, per set of prompts and over all sets: win, tie, lose, and what could not be scored.

Every prompt that both models were asked is in exactly one of: scored, `unanswered` (a model gave no text), `unread`
(an order could not be read), `unjudged` (an order is missing). Nothing of the last three is a loss.
"""

from collections.abc import Sequence

import numpy as np

from consumers.evaluation.judged_pairs import ALL, Contender, JudgedPairs, PairedPrompt, SetOfPrompts, names_of
from consumers.evaluation.length_control import length_controlled
from consumers.evaluation.results import ComparisonScore
from consumers.evaluation.statistics import RESAMPLES, mean_interval
from streams.core.evaluation.outcomes import POINTS, Equal, PairOutcome, orders_disagree, outcome, preference


def comparisons_of(
    found: JudgedPairs, *, equal: Equal = "tie", rng_seed: int = 0, resamples: int = RESAMPLES
) -> tuple[ComparisonScore, ...]:
    """Every pair of models that a judge compared: each set in the order of names, then all sets if there are several.

    equal      how equal scores in an order count
    rng_seed   of the bootstraps
    """
    sets = names_of({of for answers in found.answers.values() for of, _ in answers})
    scores = []
    for judge in found.scores:
        for first, second in found.pairs(judge):
            by_set: dict[SetOfPrompts, list[PairedPrompt]] = {}
            for prompt in found.prompts(judge, first, second):
                by_set.setdefault(prompt.set, []).append(prompt)
            parts = [(sets[of], prompts) for of, prompts in by_set.items()]
            if len(parts) > 1:
                parts.append((ALL, [prompt for _, prompts in parts for prompt in prompts]))
            for name, prompts in parts:
                scores.append(_score(judge, first, second, name, prompts, equal, rng_seed, resamples))
    return tuple(scores)


def outcome_of(prompt: PairedPrompt, equal: Equal = "tie") -> PairOutcome | None:
    """The first contender's outcome; None for a prompt that is not scored."""
    if not all(answer.there for answer in prompt.answers):
        return None
    return outcome(prompt.judged, equal)


def _score(
    judge: str,
    first: Contender,
    second: Contender,
    name: str,
    prompts: Sequence[PairedPrompt],
    equal: Equal,
    rng_seed: int,
    resamples: int,
) -> ComparisonScore:
    models = first.model, second.model
    scored = [(prompt, found) for prompt in prompts if (found := outcome_of(prompt, equal)) is not None]
    answered = [prompt for prompt in prompts if all(answer.there for answer in prompt.answers)]
    unscored = [prompt for prompt in answered if outcome_of(prompt, equal) is None]
    # an order is missing, and none was judged without a score
    unjudged = sum(sum(scores is None for scores in prompt.judged) == prompt.missing for prompt in unscored)
    outcomes = [found for _, found in scored]
    points = np.array([POINTS[found] for found in outcomes])
    longer = np.array([prompt.answers[0].characters - prompt.answers[1].characters for prompt, _ in scored])
    shown_first = [
        preference(scores) == "first"
        for prompt, _ in scored
        for scores in prompt.judged
        if scores is not None and preference(scores) != "equal"
    ]
    disagree = sum(orders_disagree(prompt.judged) for prompt, _ in scored)
    return ComparisonScore(
        first=first.model,
        second=second.model,
        first_system=first.system,
        second_system=second.system,
        first_conditions=first.others,
        second_conditions=second.others,
        judge=judge,
        set=name,
        equal=equal,
        prompts=len(prompts),
        scored=len(scored),
        win=outcomes.count("win"),
        tie=outcomes.count("tie"),
        lose=outcomes.count("lose"),
        win_rate=mean_interval(points, rng_seed=rng_seed, resamples=resamples) if scored else None,
        length_controlled=length_controlled(points, longer, rng_seed=rng_seed, resamples=resamples),
        unread=len(unscored) - unjudged,
        unjudged=unjudged,
        unanswered=_by_model(models, [[not answer.there for answer in prompt.answers] for prompt in prompts]),
        neither_answered=sum(not any(answer.there for answer in prompt.answers) for prompt in prompts),
        cut=_by_model(models, [[answer.outcome == "cut" for answer in prompt.answers] for prompt in prompts]),
        orders_disagree=disagree / len(scored) if scored else None,
        first_place_wins=sum(shown_first) / len(shown_first) if shown_first else None,
    )


def _by_model(models: tuple[str, str], found: Sequence[Sequence[bool]]) -> dict[str, int]:
    """How many of each model's; a model against itself under other conditions is one entry."""
    counts = dict.fromkeys(models, 0)
    for sides in found:
        for model, side in zip(models, sides, strict=True):
            counts[model] += side
    return counts
