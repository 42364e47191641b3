"""Seed scores: the share of the instructions generated from a seed that was kept (paper, Fig. 6).

Each seed shown in a generation is credited with its instructions: SeedGen += generated, SeedKept += kept. Instructions
that a heuristic rule rejected are not in SeedGen, unless the policy sets `count_rule_rejections`: the paper's score is
about similarity.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.events import Rejection
from schemas.policy import Policy


@dataclass(frozen=True)
class SeedScore:
    """SeedGen and SeedKept of one seed, the `generated` offset that last changed them, and the number of generations.

    Old score tables lack `shown`; a worker rebuilds them from its decisions.
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
        """The score after a generation at `offset`; itself for an offset that is not newer."""
        if offset <= self.offset:
            return self
        return SeedScore(self.generated + generated, self.kept + kept, offset, self.shown + 1)


def uncounted(policy: Policy, rejections: Iterable[Rejection]) -> int:
    """How many of a generation's instructions do not count in SeedGen."""
    if policy.count_rule_rejections:
        return 0
    return sum(1 for rejection in rejections if rejection.reason != "similar")
