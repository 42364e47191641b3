"""The numbers of one side of a what-if."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, ReplaceSeeds
from schemas.policy import Policy

_POINTS = 200


class WhatIfOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy makes of the answers.

    yield                 kept / generated
    clusters              kept instructions in each cluster
    balance               entropy of the clusters over that of equal ones: 1 when all are equally full
    calls                 answered calls of the generations
    calls_per_1000_kept   None when nothing is kept
    usd                   cost of the calls, None when one of them has no known cost
    replacements          seeds that the recorded windows replace
    curve                 (generated, kept) at regular intervals
    """

    policy: Policy
    generations: int
    generated: int
    kept: int
    kept_share: float | None = msgspec.field(name="yield")
    rejected: dict[str, int]
    clusters: tuple[int, ...]
    balance: float | None
    calls: int
    calls_per_1000_kept: float | None
    usd: float | None
    usd_per_1000_kept: float | None
    windows: int
    replacements: int
    curve: tuple[tuple[int, int], ...]


@dataclass
class Tally:
    """Counts one side."""

    policy: Policy
    rejected: Counter[str] = field(default_factory=Counter)
    clusters: Counter[int] = field(default_factory=Counter)
    generations: int = 0
    generated: int = 0
    kept: int = 0
    calls: int = 0
    usd: float | None = 0.0
    windows: int = 0
    replacements: int = 0
    curve: list[tuple[int, int]] = field(default_factory=list)

    def add(
        self, event: InstructionsGenerated, kept: Sequence[InstructionKept], rejected: InstructionsRejected
    ) -> None:
        """Count a decided generation."""
        self.generations += 1
        self.generated += len(event.instructions)
        self.kept += len(kept)
        self.clusters.update(row.cluster for row in kept)
        self.rejected.update(rejection.reason for rejection in rejected.rejections)
        self.curve.append((self.generated, self.kept))
        self.calls += len(event.answers)
        for answered in event.answers:
            self.usd = None if self.usd is None or answered.cost_usd is None else self.usd + answered.cost_usd

    def add_command(self, command: ReplaceSeeds) -> None:
        """Count an answered window."""
        self.windows += 1
        self.replacements += len(command.replacements)

    def outcome(self) -> WhatIfOutcome:
        """The numbers so far."""
        sizes = tuple(self.clusters[cluster] for cluster in range(self.policy.clusters))
        step = max(1, len(self.curve) // _POINTS)
        per_kept = 1000 / self.kept if self.kept else None
        return WhatIfOutcome(
            policy=self.policy,
            generations=self.generations,
            generated=self.generated,
            kept=self.kept,
            kept_share=self.kept / self.generated if self.generated else None,
            rejected=dict(self.rejected.most_common()),
            clusters=sizes,
            balance=_balance(sizes),
            calls=self.calls,
            calls_per_1000_kept=None if per_kept is None else self.calls * per_kept,
            usd=self.usd,
            usd_per_1000_kept=None if per_kept is None or self.usd is None else self.usd * per_kept,
            windows=self.windows,
            replacements=self.replacements,
            curve=tuple(sorted({*self.curve[::step], *self.curve[-1:]})),
        )


def _balance(sizes: tuple[int, ...]) -> float | None:
    total = sum(sizes)
    if not total or len(sizes) == 1:
        return None
    return -sum(size / total * math.log(size / total) for size in sizes if size) / math.log(len(sizes))
