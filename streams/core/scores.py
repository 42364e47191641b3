"""Seed scores: how much of what was generated from a seed was kept (paper, Fig. 6).

Each seed shown in a generation is credited with its instructions: SeedGen += generated, SeedKept += kept. Unless the
policy says `count_rule_rejections`, instructions that a heuristic rule rejected are left out of SeedGen: the paper's
score is about the verdict of similarity.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.events import Rejection
from schemas.policy import Policy


@dataclass(frozen=True)
class SeedScore:
    """SeedGen and SeedKept of one seed, the `generated` offset that last changed them, and how many generations did.

    Score tables from before `shown` was counted lack it; a worker writes them anew from its decisions.
    """

    generated: int = 0
    kept: int = 0
    offset: int = -1
    shown: int = 0

    @property
    def value(self) -> float | None:
        """SeedKept / SeedGen; None for a seed from which nothing was generated."""
        return self.kept / self.generated if self.generated else None

    def credit(self, generated: int, kept: int, offset: int) -> "SeedScore":
        """The score after a generation at `offset`, of which so many count; itself for an offset that is not newer."""
        if offset <= self.offset:
            return self
        return SeedScore(self.generated + generated, self.kept + kept, offset, self.shown + 1)


def uncounted(policy: Policy, rejections: Iterable[Rejection]) -> int:
    """How many of a generation's instructions do not count as generated in the scores of the seeds it was shown."""
    if policy.count_rule_rejections:
        return 0
    return sum(1 for rejection in rejections if rejection.reason != "similar")
