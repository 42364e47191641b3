"""Seed scores: how much of what was generated from a seed was kept (paper, Fig. 6).

Each seed shown in a generation is credited with all its instructions: SeedGen += generated, SeedKept += kept.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SeedScore:
    """SeedGen and SeedKept of one seed, and the `generated` offset that last changed them."""

    generated: int = 0
    kept: int = 0
    offset: int = -1

    @property
    def value(self) -> float | None:
        """SeedKept / SeedGen; None for a seed from which nothing was generated."""
        return self.kept / self.generated if self.generated else None

    def credit(self, generated: int, kept: int, offset: int) -> "SeedScore":
        """The score after a generation at `offset`; itself for an offset that is not newer."""
        if offset <= self.offset:
            return self
        return SeedScore(self.generated + generated, self.kept + kept, offset)
