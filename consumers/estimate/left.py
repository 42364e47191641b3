"""How many instructions a run still has to generate for its target, by its yield so far and the fall of that.

As `consumers.estimate.estimate`, and from the fold of the run, so that it can be asked again and again while it runs.
"""

from consumers.estimate.estimate import EstimateBasis, estimate
from consumers.estimate.samples import GenerationSample
from consumers.folds.verdicts import VerdictFold
from schemas.errors import RunError
from streams.core.call_sums import CallSums

_BLOCKS = 200  # generations of a long run are taken together, at most so many


def candidates_left(verdicts: VerdictFold, target: int) -> float | None:
    """The middle of the estimate for so many kept rows; None before anything was kept. Infinite: it will not get there
    as it falls."""
    totals = sorted(verdicts.totals)
    every = max(1, -(-len(totals) // _BLOCKS))
    ends = [*totals[every - 1 :: every], *([totals[-1]] if len(totals) % every else [])]
    samples, generated, kept = [], 0, 0
    for end in ends:
        found = verdicts.totals[end]
        samples.append(
            GenerationSample(
                generated=found.generated_total - generated, kept=found.kept_total - kept, requests=CallSums()
            )
        )
        generated, kept = found.generated_total, found.kept_total
    basis = EstimateBasis(
        samples=samples, kept=kept, threshold=verdicts.policy.threshold, answers_apart=False, is_history=True
    )
    try:
        return estimate(basis, target)[0].candidates.middle
    except RunError:
        return None
