"""Samples as columns, and a bootstrap of what a candidate and an answered row take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.estimate.samples import GenerationSample
from consumers.folds.yield_forms import Floats
from streams.core.call_sums import CallSums

_BLOCKS = 200  # generations of a long run are taken together, at most so many


@dataclass(frozen=True)
class CallRates:
    """What one candidate, or the answer to one row, takes; each array is (draws,). None: an amount is not known."""

    calls: Floats
    tokens: Floats | None
    usd: Floats | None
    seconds: Floats


@dataclass(frozen=True)
class SampleDraws:
    """Samples drawn with replacement.

    generated, kept   instructions of the generations of a draw; arrays are (draws,)
    requests          of generations, for each generated instruction
    answers           for each answered row; zeros where none was answered
    wall_s            seconds for each generated instruction; None: not known
    """

    generated: Floats
    kept: Floats
    requests: CallRates
    answers: CallRates
    wall_s: Floats | None

    def yields(self, rng: np.random.Generator) -> Floats:
        """A yield for each draw, with the error that a share of so many instructions has beside it."""
        return rng.beta(self.kept + 0.5, self.generated - self.kept + 0.5)


@dataclass(frozen=True)
class SampleColumns:
    """Blocks of generations; each array is (blocks,). `wall_s` is nan where it is not known."""

    generated: Floats
    kept: Floats
    answered: Floats
    wall_s: Floats
    requests: Sequence[CallSums]
    answers: Sequence[CallSums]

    @classmethod
    def of(cls, samples: Sequence[GenerationSample]) -> "SampleColumns":
        every = max(1, -(-len(samples) // _BLOCKS))
        blocks = [samples[at : at + every] for at in range(0, len(samples), every)]
        timed = [[sample for sample in block if sample.wall_s is not None] for block in blocks]
        return cls(
            generated=_sums([sample.generated for sample in block] for block in blocks),
            kept=_sums([sample.kept for sample in block] for block in blocks),
            answered=_sums([sample.answered for sample in block] for block in blocks),
            wall_s=np.array([_each(block) for block in timed]),
            requests=[sum((sample.requests for sample in block), CallSums()) for block in blocks],
            answers=[sum((sample.answers for sample in block), CallSums()) for block in blocks],
        )

    def draws(self, count: int, rng: np.random.Generator) -> SampleDraws:
        """So many draws of as many blocks as there are."""
        size = len(self.generated)
        times = rng.multinomial(size, np.full(size, 1 / size), count).astype(np.float64)
        return SampleDraws(
            generated=times @ self.generated,
            kept=times @ self.kept,
            requests=_rates(times, self.requests, self.generated),
            answers=_rates(times, self.answers, self.answered),
            wall_s=_wall(times, self.wall_s, self.generated),
        )


def _sums(blocks: Iterable[Sequence[int]]) -> Floats:
    return np.array([float(sum(block)) for block in blocks])


def _each(timed: Sequence[GenerationSample]) -> float:
    """Seconds of the timed generations of a block for each of their instructions."""
    generated = sum(sample.generated for sample in timed)
    return sum(sample.wall_s or 0.0 for sample in timed) / generated if generated else float("nan")


def _rates(times: Floats, sums: Sequence[CallSums], per: Floats) -> CallRates:
    return CallRates(
        calls=_ratio(times, np.array([float(each.calls) for each in sums]), per),
        tokens=_known_ratio(times, [each.tokens for each in sums], per),
        usd=_known_ratio(times, [each.usd for each in sums], per),
        seconds=_ratio(times, np.array([each.seconds for each in sums]), per),
    )


def _known_ratio(times: Floats, amounts: Sequence[float | None], per: Floats) -> Floats | None:
    known = [amount for amount in amounts if amount is not None]
    return _ratio(times, np.array(known, dtype=np.float64), per) if len(known) == len(amounts) else None


def _ratio(times: Floats, amounts: Floats, per: Floats) -> Floats:
    """Amounts for each unit, of each draw; of all blocks where a draw has no unit, and 0 where none has."""
    if not per.sum():
        return np.zeros(len(times))
    units = times @ per
    whole = float(amounts.sum() / per.sum())
    return np.where(units > 0, (times @ amounts) / np.where(units > 0, units, 1.0), whole)


def _wall(times: Floats, wall_s: Floats, generated: Floats) -> Floats | None:
    known = ~np.isnan(wall_s)
    if not known.any():
        return None
    per = np.where(known, generated, 0.0)
    return _ratio(times, np.where(known, wall_s, 0.0) * per, per)
