"""Log-likelihoods of an encoded scoring, in one stage or in two.

In two stages all candidates are scored on the segment's head first, and only those near the best on the whole segment.
Which tokens are computed together depends on the scoring alone: the values do not depend on what else is scored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infra.models.likelihood.continued import ContinuationEngine
from infra.models.likelihood.engine import LikelihoodEngine
from producers.documents.scoring.encoding import EncodedScoring

Values = dict[int, float]
"""Log-likelihoods by prompt."""


@dataclass(frozen=True)
class StagedScores:
    """Sums of natural logarithms over the segment's tokens.

    candidates    by place; None: not scored
    head_tokens   of the first stage; 0: there was none
    heads         of these tokens, by place; empty without that stage
    computed      tokens of the prompts and of the segment after each; what prompts share counts for each of them
    """

    unconditional: float
    candidates: tuple[float | None, ...]
    head_tokens: int
    heads: tuple[float | None, ...]
    computed: int


def staged(continuing: ContinuationEngine, scoring: EncodedScoring, head_tokens: int, margin: float) -> StagedScores:
    """Score; a head as long as the segment is no stage. Raises TrainerError as `LikelihoodEngine.measure`."""
    asked = sorted({place for place in scoring.candidates if place is not None})
    values = _values_by(continuing, scoring)
    if not 0 < head_tokens < len(scoring.segment) or len(asked) < 2:
        prompts = sorted({0, *asked})
        every = values(prompts, len(scoring.segment))
        return StagedScores(every[0], _by_place(scoring, every), 0, (), scoring.computed(prompts))
    heads = values(asked, head_tokens)
    best = max(heads.values())
    going_on = sorted({0, *(place for place in asked if heads[place] >= best - margin * head_tokens)})
    whole = values(going_on, len(scoring.segment))
    chosen = {place: value for place, value in whole.items() if place in heads}
    dropped = [place for place in asked if place not in whole]
    return StagedScores(
        whole[0],
        _by_place(scoring, chosen),
        head_tokens,
        _by_place(scoring, heads),
        scoring.computed(dropped, head_tokens) + scoring.computed(going_on),
    )


def _values_by(continuing: ContinuationEngine, scoring: EncodedScoring) -> Callable[[Sequence[int], int], Values]:
    """What gives the values of some prompts on so many tokens."""
    if continuing.usable:
        return continuing.begin(scoring.prompts, scoring.segment).values
    return lambda prompts, tokens: _measured(continuing.engine, scoring, prompts, tokens)


def _measured(engine: LikelihoodEngine, scoring: EncodedScoring, prompts: Sequence[int], tokens: int) -> Values:
    found: Values = {}
    for batch in engine.measure(scoring.questions(prompts, tokens)):
        found.update({prompts[question]: values[0] for question, values in batch.items()})
    return found


def _by_place(scoring: EncodedScoring, values: Values) -> tuple[float | None, ...]:
    return tuple(None if place is None else values.get(place) for place in scoring.candidates)
