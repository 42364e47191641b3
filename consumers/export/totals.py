"""What an export counts while it reads: of all that is decided, and of the rows it holds."""

from collections import Counter
from dataclasses import dataclass, field

from consumers.export.decided import DecidedGeneration


@dataclass
class ExportTotals:
    """The counts.

    generations   records of `generated` that were decided and neither unreadable nor there twice
    generated     instructions in them; each was kept or rejected
    rejected      by reason
    kept          by cluster
    exported      by cluster: the rows in the files
    excluded      rows left out by name that would otherwise be in the files
    below, unreadable, unjudged   rows that would otherwise be in the files: of too low a score, without one, not judged
    models        generations by model
    known_usd     cost of the generations that say what they cost; `without_cost` do not
    """

    generations: int = 0
    generated: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    kept: Counter[int] = field(default_factory=Counter)
    exported: Counter[int] = field(default_factory=Counter)
    excluded: int = 0
    below: int = 0
    unreadable: int = 0
    unjudged: int = 0
    models: Counter[str] = field(default_factory=Counter)
    known_usd: float = 0.0
    without_cost: int = 0

    def add(self, decided: DecidedGeneration) -> None:
        self.generated += decided.verdict.generated
        self.rejected.update(rejection.reason for rejection in decided.verdict.rejections)
        self.kept.update(row.cluster for row in decided.rows)
        if decided.generation is None:
            return
        self.generations += 1
        self.models[decided.generation.model] += 1
        if decided.generation.cost_usd is None:
            self.without_cost += 1
        else:
            self.known_usd += decided.generation.cost_usd

    @property
    def rows(self) -> int:
        """Rows in each data file."""
        return self.exported.total()

    @property
    def kept_share(self) -> float | None:
        """The yield: kept of all that were decided; None before there is one."""
        return self.kept.total() / self.generated if self.generated else None
