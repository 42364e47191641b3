"""Which of a run's kept rows are exported, and how many are left out for which reason."""

from dataclasses import dataclass, field

import msgspec

from consumers.export.exclusion import Exclusion
from consumers.export.manifest import Excluded, LeftOutUnanswered, LeftOutWithDocuments, Withheld
from consumers.export.options import ExportOptions
from consumers.export.totals import ExportTotals
from consumers.folds.documents import Withdrawals
from schemas.events import InstructionAnswered, InstructionKept, InstructionsGenerated
from streams.core.judging import Judgements


@dataclass
class RowSelection:
    """Which kept rows are exported; counts the others.

    answered_apart   rows get their outputs after they are kept, so each needs an answer that is used
    elsewhere        documents of the run whose text is withdrawn in another run of the export only
    """

    options: ExportOptions
    excluded: Exclusion | None
    documents: Withdrawals
    judgements: Judgements | None
    totals: ExportTotals
    answered_apart: bool = False
    elsewhere: set[str] = field(default_factory=set)

    def has(
        self, kept: InstructionKept, generation: InstructionsGenerated, answer: InstructionAnswered | None = None
    ) -> bool:
        in_cluster = not self.options.clusters or kept.cluster in self.options.clusters
        if self.excluded is not None and self.excluded.has(kept.id):
            self.totals.excluded += in_cluster
            return False
        if generation.segment is not None and self._is_withdrawn(generation.segment.document_id):
            self.totals.withdrawn += in_cluster
            return False
        return in_cluster and self._is_answered(answer) and self._admits(kept)

    def score(self, kept: InstructionKept) -> float | msgspec.UnsetType:
        """The judge's score of a selected row."""
        score = None if self.judgements is None else self.judgements.scores[kept.id]
        return msgspec.UNSET if score is None else score

    def excluded_rows(self) -> Excluded | None:
        if self.excluded is None:
            return None
        return Excluded(sha256=self.excluded.sha256, ids=len(self.excluded.ids), rows=self.totals.excluded)

    def withheld_rows(self) -> Withheld | msgspec.UnsetType:
        if self.judgements is None or self.options.min_score is None:
            return msgspec.UNSET
        return Withheld(
            judge=self.judgements.judge or "",
            min_score=self.options.min_score,
            below=self.totals.below,
            unreadable=self.totals.unreadable,
            unjudged=self.totals.unjudged,
        )

    def withdrawn_rows(self) -> LeftOutWithDocuments | msgspec.UnsetType:
        documents = self.documents
        if documents.end == documents.start:
            return msgspec.UNSET
        return LeftOutWithDocuments(
            through=documents.end - 1,
            documents=len(documents.offsets),
            elsewhere=len(self.elsewhere) or msgspec.UNSET,
            rows=self.totals.withdrawn,
        )

    def unanswered_rows(self) -> LeftOutUnanswered | msgspec.UnsetType:
        if not self.answered_apart:
            return msgspec.UNSET
        return LeftOutUnanswered(waiting=self.totals.waiting, unused=dict(sorted(self.totals.unused.items())))

    def _is_answered(self, answer: InstructionAnswered | None) -> bool:
        if not self.answered_apart:
            return True
        if answer is None:
            self.totals.waiting += 1
        elif answer.reason is not None:
            self.totals.unused[answer.reason] += 1
        return answer is not None and answer.reason is None

    def _is_withdrawn(self, document: str) -> bool:
        return document in self.documents.offsets or document in self.elsewhere

    def _admits(self, kept: InstructionKept) -> bool:
        if self.judgements is None or self.options.min_score is None:
            return True
        admitted = self.judgements.admits(kept.id, self.options.min_score)
        if admitted is None:
            self.totals.unjudged += 1
        elif not admitted:
            unreadable = self.judgements.scores[kept.id] is None
            self.totals.unreadable += unreadable
            self.totals.below += not unreadable
        return bool(admitted)
