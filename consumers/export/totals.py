"""Counts of an export: of everything decided, and of its own rows."""

from collections import Counter
from dataclasses import dataclass, field

from consumers.export.decided import DecidedGeneration


@dataclass
class ExportTotals:
    """The counts.

    generations   decided records of `generated`, without unreadable ones and repeats
    generated     instructions in them; each was kept or rejected
    rejected      by reason
    kept          by cluster
    exported      by cluster: the rows in the files
    excluded      rows left out by id that would otherwise be in the files
    withdrawn     rows left out because their document is withdrawn, that would otherwise be in the files
    waiting, unused    rows left out because they wait for their answer, or it is not used, by reason; that would
                       otherwise be in the files
    below, unreadable, unjudged   rows that would otherwise be in the files: score too low, without one, not judged
    models        generations by model
    answer_models    answers by model, and `answer_usd` their known cost; `answers_without_cost` have none
    known_usd     cost of the generations with a known cost; `without_cost` have none
    """

    generations: int = 0
    generated: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    kept: Counter[int] = field(default_factory=Counter)
    exported: Counter[int] = field(default_factory=Counter)
    excluded: int = 0
    withdrawn: int = 0
    waiting: int = 0
    unused: Counter[str] = field(default_factory=Counter)
    below: int = 0
    unreadable: int = 0
    unjudged: int = 0
    models: Counter[str] = field(default_factory=Counter)
    known_usd: float = 0.0
    without_cost: int = 0
    answer_models: Counter[str] = field(default_factory=Counter)
    answer_usd: float = 0.0
    answers_without_cost: int = 0

    def add(self, decided: DecidedGeneration) -> None:
        """Count a decided generation."""
        self.generated += decided.verdict.generated
        self.rejected.update(rejection.reason for rejection in decided.verdict.rejections)
        self.kept.update(row.cluster for row in decided.rows)
        for answer in decided.answers.values():
            if answer.style:
                self.answer_models[answer.model] += 1
                self.answer_usd += answer.cost_usd or 0.0
                self.answers_without_cost += answer.cost_usd is None
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
        """The yield: kept / decided; None before anything is decided."""
        return self.kept.total() / self.generated if self.generated else None
