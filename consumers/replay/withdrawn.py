"""Which kept rows are from documents that were withdrawn, in an audit.

The withdrawals are read before all else, because a window names those that it reflects by their offset on `documents`.
The records of `documents` are checked with the segments (`consumers.replay.segments`).
"""

from collections.abc import Iterable, Mapping

from consumers.replay.effect_stream import row_of
from infra.log.record import Record
from schemas.events import InstructionsGenerated


class WithdrawnSoFar:
    """Rows of withdrawn documents, as far as `generated` was read.

    last   the last offset of `documents`, -1 for none
    rows   of each row whose document is withdrawn sometime, the offset of the withdrawal
    """

    def __init__(self, withdrawals: Mapping[str, int], last: int) -> None:
        self.last = last
        self.rows: dict[str, int] = {}
        self._withdrawals = withdrawals

    def see(self, event: InstructionsGenerated | None, rows: Iterable[Record]) -> None:
        """Remember the kept rows of a generation if its document is withdrawn sometime."""
        at = None if event is None or event.segment is None else self._withdrawals.get(event.segment.document_id)
        if at is not None:
            self.rows |= {row.id: at for record in rows if (row := row_of(record)) is not None}

    def is_withdrawn(self, row_id: str, through: int) -> bool:
        """Whether a row's document was withdrawn at or before offset `through` of `documents`."""
        at = self.rows.get(row_id)
        return at is not None and at <= through
