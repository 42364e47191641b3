"""What it takes to get a run to so many kept rows: calls, tokens, money and hours, each with an interval.

Candidates come from the yield and its fall: a run that has kept some hundreds extrapolates its own fit, another one
scales a fall that was measured elsewhere (`consumers.estimate.default_fall`) to its own first yield. Calls, tokens,
money and seconds follow from what a candidate and the answer to a kept row took in the samples.

The interval is a bootstrap over generations, because instructions of one list resemble each other: each draw samples
generations with replacement, and computes everything from them. Of a first yield the draw adds the error of a share, as
a handful of lists would otherwise look surer than they are, and so it does with the share of generations that bring no
instruction. The draws are the same each time.

It knows nothing of an endpoint that becomes slower or dearer, of a judge, of training, nor of batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from consumers.estimate.columns import SampleColumns
from consumers.estimate.default_fall import FORM, slopes
from consumers.estimate.samples import GenerationSample, points_from
from consumers.folds.yield_curve import fit_yield
from consumers.folds.yield_forms import Floats, candidates
from schemas.errors import RunError

FEWEST = 20
"""Decided generations from which on a run is estimated from its own log."""

SHOWS_FALL = 300
"""Kept rows from which on that log shows how its yield falls."""

_DRAWS = 400
_LEVEL = 0.9
_HOUR_S = 3600.0


class AmountInterval(msgspec.Struct, frozen=True, kw_only=True):
    """An amount: the middle of its draws, and the interval that holds nine of ten. `high` is None without an end."""

    low: float
    middle: float
    high: float | None


class CostEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What is still to come until the run has `target` kept rows, of which it has `kept`.

    generations, generated   that the estimate is made from; `kept_share`: their yield
    fall                     where the fall of the yield comes from: the run's `own` fit, or the `default`
    candidates               instructions to generate
    calls                    attempts, with as many failed ones for each answer as so far
    tokens, usd              None: not known, since an answer reported none, or has no known price
    hours                    at the pace measured so far, or from latencies; None where nothing was timed
    answers_included         False: answers are asked for after rows are kept, and none was measured yet
    """

    kept: int
    target: int
    generations: int
    generated: int
    kept_share: float
    fall: str
    candidates: AmountInterval
    calls: AmountInterval
    tokens: AmountInterval | None
    usd: AmountInterval | None
    hours: AmountInterval | None
    answers_included: bool


@dataclass(frozen=True, kw_only=True)
class CallPace:
    """How fast calls are made, where the log does not show it.

    in_flight    calls at once, of the generator and of the answerer each
    in_turn      whether the two share one machine, so that their time adds up
    rpm, tpm     calls and tokens a minute, at most
    """

    in_flight: int = 1
    in_turn: bool = False
    rpm: float | None = None
    tpm: float | None = None


@dataclass(frozen=True, kw_only=True)
class EstimateBasis:
    """What an estimate is made from.

    samples         generations in order; with a history, from the start of the run on
    kept            rows of the run now
    threshold       of its policy
    answers_apart   whether answers are asked for after rows are kept
    attempts        started for each answer
    is_history      whether these are all of a run's generations, with the time they took; else a preview's
    pace            of a preview
    unanswered      rows kept so far that wait for their answer
    """

    samples: Sequence[GenerationSample]
    kept: int
    threshold: float
    answers_apart: bool
    attempts: float = 1.0
    is_history: bool = False
    pace: CallPace = field(default_factory=CallPace)
    unanswered: int = 0

    @property
    def shows_fall(self) -> bool:
        """Whether the samples show the fall of the yield."""
        return self.is_history and self.kept >= SHOWS_FALL


@dataclass(frozen=True)
class CostDraws:
    """The draws behind an estimate; each array is (draws,)."""

    calls: Floats
    tokens: Floats | None
    usd: Floats | None

    @staticmethod
    def reach(budget: float, spent: float, draws: Floats | None) -> float | None:
        """The share of draws of an amount that a budget suffices for; None where the amount is not known."""
        return None if draws is None else float(np.mean(spent + draws <= budget))


def estimate(basis: EstimateBasis, target: int) -> tuple[CostEstimate, CostDraws]:
    """The estimate, and its draws. Raises RunError when the samples hold no kept instruction."""
    found_some = [sample for sample in basis.samples if sample.generated]
    columns = SampleColumns.of(basis.samples if basis.is_history else found_some)
    generated, kept = int(columns.generated.sum()), int(columns.kept.sum())
    if not kept:
        raise RunError(
            f"Of {generated} instructions in {len(basis.samples)} generations nothing was kept, so there is no yield "
            "to estimate from. Look at the verdicts, and ask for more generations."
        )
    rng = np.random.default_rng(0)
    drawn = columns.draws(_DRAWS, rng)
    wanted = max(0, target - basis.kept)
    fall = _own_fall if basis.shows_fall else _default_fall
    number = fall(basis, drawn.yields(rng), basis.kept + wanted, rng)
    paid = number
    if not basis.is_history:
        # A handful of generations may not show those that bring nothing.
        paid = number / (1 - rng.beta(len(basis.samples) - len(found_some) + 0.5, len(found_some) + 0.5, _DRAWS))
    included = not basis.answers_apart or bool(columns.answered.any())
    rows = np.full(_DRAWS, float(wanted + basis.unanswered) if basis.answers_apart and included else 0.0)
    requests, answers = drawn.requests, drawn.answers
    calls = basis.attempts * (paid * requests.calls + rows * answers.calls)
    tokens = _together(paid, requests.tokens, rows, answers.tokens)
    usd = _together(paid, requests.usd, rows, answers.usd)
    seconds = basis.attempts * paid * requests.seconds, basis.attempts * rows * answers.seconds
    hours = _hours(basis, number, drawn.wall_s, *seconds)
    if hours is not None and not basis.is_history:
        hours = _at_most(hours, calls, tokens, basis.pace)
    found = CostEstimate(
        kept=basis.kept,
        target=target,
        generations=len(basis.samples),
        generated=generated,
        kept_share=kept / generated,
        fall="own" if basis.shows_fall else "default",
        candidates=_interval(number),
        calls=_interval(calls),
        tokens=None if tokens is None else _interval(tokens),
        usd=None if usd is None else _interval(usd),
        hours=None if hours is None else _interval(hours),
        answers_included=included,
    )
    return found, CostDraws(calls, tokens, usd)


def _own_fall(basis: EstimateBasis, yields: Floats, target: int, rng: np.random.Generator) -> Floats:
    """Candidates by the run's own fit; `yields` are not used. Shape: (draws,).

    The forms that the log cannot tell apart part beyond it, so each draw takes one of them at random.
    """
    fit = fit_yield(points_from(basis.samples))
    own = candidates(fit.form, fit.level, fit.slope, basis.kept, target) or 1.0
    if np.isinf(own):
        return np.full(len(yields), np.inf)
    forms = fit.by_form.items()
    others: Floats = np.array([candidates(form, *fitted, basis.kept, target) / own for form, fitted in forms])
    drawn = (fit.draws[at] for at in rng.integers(len(fit.draws), size=len(yields)))
    numbers: Floats = np.array([candidates(fit.form, level, slope, basis.kept, target) for level, slope in drawn])
    return numbers * others[rng.integers(len(others), size=len(yields))]


def _default_fall(basis: EstimateBasis, yields: Floats, target: int, rng: np.random.Generator) -> Floats:
    """Candidates by the yields measured now, at `basis.kept`, and the default fall from there on. Shape: (draws,)."""
    drawn = slopes(basis.threshold, len(yields), rng)
    return np.array(
        [
            candidates(FORM, level * (1 + basis.kept / 1000) ** slope, slope, basis.kept, target)
            for level, slope in zip(yields, drawn, strict=True)
        ]
    )


def _together(number: Floats, each: Floats | None, rows: Floats, each_row: Floats | None) -> Floats | None:
    if each is None or each_row is None:
        return None
    # A yield that falls to nothing takes infinitely many candidates, which cost nothing where each is free.
    return np.multiply(number, each, out=np.zeros_like(number), where=each > 0) + rows * each_row


def _hours(
    basis: EstimateBasis, number: Floats, wall_s: Floats | None, requests_s: Floats, answers_s: Floats
) -> Floats | None:
    """By the time that a candidate took on the log; without a history, by the latencies of calls side by side."""
    if basis.is_history:
        return None if wall_s is None else number * wall_s / _HOUR_S
    pace = basis.pace
    seconds = requests_s + answers_s if pace.in_turn else np.maximum(requests_s, answers_s)
    return seconds / pace.in_flight / _HOUR_S if seconds.any() else None


def _at_most(hours: Floats, calls: Floats, tokens: Floats | None, pace: CallPace) -> Floats:
    """The hours where calls and tokens a minute are limited."""
    if pace.rpm is not None:
        hours = np.maximum(hours, calls / pace.rpm / 60)
    if pace.tpm is not None and tokens is not None:
        hours = np.maximum(hours, tokens / pace.tpm / 60)
    return hours


def _interval(draws: Floats) -> AmountInterval:
    low, middle, high = np.quantile(draws, [(1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2], method="nearest")
    return AmountInterval(low=float(low), middle=float(middle), high=float(high) if np.isfinite(high) else None)
