"""The filters that the study compares, and what a stream yields under each of them: a what-if each.

The clusters of a run do not affect what it keeps, only where, so all sides have one: nothing is fitted, and a what-if
takes a fifth of the time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consumers.folds.yield_curve import PointSums, YieldPoint
from consumers.replay.what_if import what_if
from infra.log.run import configuration
from infra.log.source import Source
from schemas.events import InstructionsGenerated
from schemas.policy import Mode, Policy, policy_with

SweepProgress = Callable[[str, int, int], None]
"""Called with what is decided, and how many of how many generations are."""


@dataclass(frozen=True)
class FilterSide:
    """A filter of the study: a mode's own, but for the threshold of the similarity."""

    name: str
    threshold: float
    mode: Mode = "sedi"

    def policy(self, recorded: Policy) -> Policy:
        """The stream's own policy with this filter."""
        return policy_with(
            recorded,
            mode=self.mode,
            threshold=self.threshold,
            compare_with_seeds=self.mode == "self-instruct",
            feedback=False,
            clusters=1,
            batch_size=recorded.batch_size,
        )


SELF_INSTRUCT = FilterSide("self-instruct 0.7", 0.7, "self-instruct")
LOOSER = FilterSide("self-instruct 0.85", 0.85, "self-instruct")
"""Self-Instruct with nothing changed but its threshold."""

SEDI = FilterSide("sedi 0.85", 0.85)
SWEEP = tuple(FilterSide(f"sedi {threshold:g}", threshold) for threshold in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8))
SWEEP_ABOVE = tuple(FilterSide(f"sedi {threshold:g}", threshold) for threshold in (0.9, 0.95))
ALL_SIDES: tuple[FilterSide, ...] = (SELF_INSTRUCT, LOOSER, *SWEEP, SEDI, *SWEEP_ABOVE)


def decide(source: Source, sides: Sequence[FilterSide], progress: SweepProgress) -> dict[str, list[YieldPoint]]:
    """The points of a stream under each side, by its name. Calls and tokens are those of the lists.

    Raises RunError when there is no such run.
    """
    recorded = configuration(source)[0].policy
    found = {}
    for side in sides:
        sums = PointSums()

        def add(event: InstructionsGenerated, _: int, kept: int, sums: PointSums = sums) -> None:
            sums.add(event, kept)

        def shown(done: int, of: int, name: str = side.name) -> None:
            progress(name, done, of)

        what_if(source, side.policy(recorded), progress=shown, watch=add)
        found[side.name] = sums.points
    return found
