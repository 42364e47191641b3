"""Documents in an audit: which there are, and which kept rows are from documents that were withdrawn.

`documents` is read before all else, because a window names the withdrawals that it reflects by their offset there.
"""

from collections.abc import Iterable

from consumers.folds.documents import DocumentFold
from consumers.replay.digests import Digests
from consumers.replay.effect_stream import EffectStream, content, row_of
from consumers.replay.findings import Findings
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas.events import InstructionsGenerated


class DocumentAudit:
    """`documents`, read to its end.

    fold        the documents and their withdrawals
    count       documents and withdrawals, without repeats
    withdrawn   of each row seen so far whose document is withdrawn sometime, the offset of the withdrawal
    """

    def __init__(self, stream: EffectStream, findings: Findings, digests: Digests) -> None:
        self.fold = DocumentFold()
        self.count = 0
        self.withdrawn: dict[str, int] = {}
        repeats = RepeatCheck(findings)
        while (record := stream.take()) is not None:
            event = record.event
            if event is None:
                findings.cannot_read(record, str(record.error))
            elif repeats.fresh(record, event, content(record)):
                self.count += 1
                digests.add("documents", content(record))
            self.fold.apply(record)

    @property
    def last(self) -> int:
        """The last offset of `documents`, -1 for none."""
        return self.fold.end - 1

    def see(self, event: InstructionsGenerated | None, rows: Iterable[Record]) -> None:
        """Remember the kept rows of a generation if its document is withdrawn sometime."""
        at = None if event is None or event.segment is None else self.fold.withdrawn.get(event.segment.document_id)
        if at is not None:
            self.withdrawn |= {row.id: at for record in rows if (row := row_of(record)) is not None}

    def is_withdrawn(self, row_id: str, through: int) -> bool:
        """Whether a row's document was withdrawn at or before offset `through` of `documents`."""
        at = self.withdrawn.get(row_id)
        return at is not None and at <= through
