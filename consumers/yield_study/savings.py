"""What a side takes to keep so many, measured or extrapolated, and what it saves against another."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from consumers.folds.yield_curve import Fit, YieldPoint, fit_yield, reaching
from consumers.folds.yield_forms import FALLING, Form
from consumers.yield_study.results import SavedCalls, StudyInterval

Points = Sequence[YieldPoint]
Streams = Mapping[str, Sequence[Points]]
"""By the name of a side, the points of each stream in one order."""


def mean_over_seeds(values: Sequence[float]) -> StudyInterval:
    """The mean of one value a rng seed, with Student's t."""
    from scipy.special import stdtrit

    mean = fmean(values)
    if len(values) < 2:
        return StudyInterval(mean=mean, low=None, high=None, of=tuple(values))
    half = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
    return StudyInterval(mean=mean, low=mean - half, high=mean + half, of=tuple(values))


class SideFits:
    """The fit of a side to all its streams, and one to each."""

    def __init__(self, streams: Sequence[Points]) -> None:
        self.streams = streams
        self.pooled = fit_yield(*streams)
        self._own = [fit_yield(points) for points in streams]

    def generated_to(self, stream: int, kept: int, form: Form | None = None) -> float:
        """Instructions that a stream generates to keep so many: as measured, and beyond its end by its own fit.

        The form is the one that fits all streams best, or the one given.
        """
        points = self.streams[stream]
        reached = reaching(points, kept)
        if reached is not None:
            return float(reached.generated)
        fit, last = self._own[stream], points[-1]
        return last.generated + fit.candidates_to(last.kept, kept, self._form(fit, form))

    def calls_to(self, stream: int, kept: int, form: Form | None = None) -> float:
        """Calls for them."""
        reached = reaching(self.streams[stream], kept)
        if reached is not None:
            return float(reached.calls)
        last = self.streams[stream][-1]
        further = self.generated_to(stream, kept, form) - last.generated
        return last.calls + further * self._own[stream].calls_per_candidate

    def _form(self, fit: Fit, form: Form | None) -> Form:
        wanted = form or self.pooled.form
        return wanted if wanted in fit.by_form else fit.form  # a stream too short for a form has a constant yield


def saved_as_measured(side: str, baseline: str, streams: Streams) -> SavedCalls:
    """At the most kept instructions that both reached, in each stream."""
    kept = [min(one[-1].kept, other[-1].kept) for one, other in zip(streams[side], streams[baseline], strict=True)]
    calls = [
        (_calls_per_kept(one, number), _calls_per_kept(other, number))
        for one, other, number in zip(streams[side], streams[baseline], kept, strict=True)
    ]
    return SavedCalls(
        side=side,
        baseline=baseline,
        kept=tuple(kept),
        extrapolated=False,
        saved=mean_over_seeds([1 - ours / theirs for ours, theirs in calls]),
        with_answers=fmean(1 - (1 + ours) / (1 + theirs) for ours, theirs in calls),
    )


def saved_at(side: str, baseline: str, fits: Mapping[str, SideFits], target: int) -> SavedCalls:
    """At a number of kept instructions that streams need not have reached."""
    ours, theirs = fits[side], fits[baseline]
    numbers = range(len(ours.streams))

    def shares(form: Form | None) -> list[float]:
        return [1 - ours.calls_to(each, target, form) / theirs.calls_to(each, target, form) for each in numbers]

    ends = [min(ours.streams[each][-1].kept, theirs.streams[each][-1].kept) for each in numbers]
    pairs = [(ours.calls_to(each, target) / target, theirs.calls_to(each, target) / target) for each in numbers]
    extrapolated = min(ends) < target
    return SavedCalls(
        side=side,
        baseline=baseline,
        kept=(target,) * len(ends),
        extrapolated=extrapolated,
        saved=mean_over_seeds(shares(None)),
        with_answers=fmean(1 - (1 + one) / (1 + other) for one, other in pairs),
        by_other_form={form: fmean(shares(form)) for form in FALLING} if extrapolated else {},
    )


def _calls_per_kept(points: Points, kept: int) -> float:
    reached = reaching(points, kept)
    assert reached is not None
    return reached.calls / reached.kept
