"""Log-likelihoods of an encoded scoring, in one stage or in two.

In two stages all candidates are scored on the segment's head first, and only those near the best on the whole segment.
All passes of a stage are one composition of batches, which depends on the scoring alone: the values do not depend on
what else is scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.models.likelihood.engine import LikelihoodEngine
from producers.documents.scoring.encoding import EncodedScoring


@dataclass(frozen=True)
class StagedScores:
    """Sums of natural logarithms over the segment's tokens.

    candidates    by place; None: not scored
    head_tokens   of the first stage; 0: there was none
    heads         of these tokens, by place; empty without that stage
    computed      tokens that went through the model
    """

    unconditional: float
    candidates: tuple[float | None, ...]
    head_tokens: int
    heads: tuple[float | None, ...]
    computed: int


def staged(engine: LikelihoodEngine, scoring: EncodedScoring, head_tokens: int, margin: float) -> StagedScores:
    """Score; a head as long as the segment is no stage. Raises TrainerError as `LikelihoodEngine.measure`."""
    asked = sorted({place for place in scoring.candidates if place is not None})
    if not 0 < head_tokens < len(scoring.segment) or len(asked) < 2:
        every = _values(engine, scoring, sorted({0, *asked}))
        return StagedScores(every[0], _by_place(scoring, every), 0, (), scoring.computed(sorted({0, *asked})))
    heads = _values(engine, scoring, asked, head_tokens)
    best = max(heads.values())
    going_on = sorted({0, *(place for place in asked if heads[place] >= best - margin * head_tokens)})
    whole = _values(engine, scoring, going_on)
    chosen = {place: value for place, value in whole.items() if place in heads}
    return StagedScores(
        whole[0],
        _by_place(scoring, chosen),
        head_tokens,
        _by_place(scoring, heads),
        scoring.computed(asked, head_tokens) + scoring.computed(going_on),
    )


def _values(
    engine: LikelihoodEngine, scoring: EncodedScoring, prompts: Sequence[int], tokens: int | None = None
) -> dict[int, float]:
    """By prompt."""
    found: dict[int, float] = {}
    for batch in engine.measure(scoring.questions(prompts, tokens)):
        found.update({prompts[question]: values[0] for question, values in batch.items()})
    return found


def _by_place(scoring: EncodedScoring, values: dict[int, float]) -> tuple[float | None, ...]:
    return tuple(None if place is None else values.get(place) for place in scoring.candidates)
