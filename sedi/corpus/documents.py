"""The documents of a run, as the commands show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from schemas.documents import DocumentFormat, DropReason
from schemas.scalars import Count, Offset, Place, Share

if TYPE_CHECKING:
    from infra.log.source import Source
    from schemas.documents import DocumentRead


class CorpusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document of a run: its event, and whether it is withdrawn.

    dropped, value, limit, nearest_id   as in `DocumentRead`
    withdrawn                           why; None: it is not
    text                                None in a list
    """

    id: str
    source: str
    place: Place
    start: Offset
    format: DocumentFormat
    sha256: str
    characters: Count
    language: str | None
    probability: Share | None
    title: str
    licence: str | None
    dropped: DropReason | None
    value: float | None
    limit: float | None
    nearest_id: str | None
    withdrawn: str | None
    text: str | None = None

    @property
    def state(self) -> str:
        """In words: used, dropped and why, or withdrawn."""
        if self.withdrawn is not None:
            return "withdrawn"
        if self.dropped is None:
            return "used"
        measured = "" if self.value is None or self.limit is None else f" ({self.value:.4g}, limit {self.limit:.4g})"
        return f"{self.dropped}{measured}"


def documents_of(
    source: Source, start: str | None = None, progress: Callable[[int], None] = lambda _: None
) -> list[CorpusDocument]:
    """All documents in the order of the log, without their texts; or those whose ids begin with `start`, with texts.

    `progress` is told of how many more documents were read.
    """
    from producers.documents.corpus.known import known_documents

    def is_wanted(id: str) -> bool:
        return start is not None and id.startswith(start)

    known = known_documents(source, texts=is_wanted, progress=progress)
    return [
        _document(id, event, known.withdrawals.get(id), with_text=start is not None)
        for id, event in known.documents.items()
        if start is None or is_wanted(id)
    ]


def _document(id: str, event: DocumentRead, withdrawn: str | None, *, with_text: bool) -> CorpusDocument:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return CorpusDocument(id=id, withdrawn=withdrawn, **fields | ({} if with_text else {"text": None}))
