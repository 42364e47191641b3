"""Events of a corpus: the documents of a run, and their withdrawal."""

from typing import Literal

from schemas.events import Event
from schemas.scalars import Count, Offset, Place, Sha256, Share

DocumentFormat = Literal["text", "markdown", "html", "pdf", "jsonl", "parquet"]

DropReason = Literal[
    "unreadable", "too_long", "stub", "language", "boilerplate", "link_list", "duplicate", "near_duplicate"
]
"""Why a document is not used: its bytes; its length; too little text; another language; repeated or empty phrases;
mostly links or names; the text of an earlier document; nearly that."""


class DocumentRead(Event, frozen=True, kw_only=True):
    """A document was read from a file, and is used or dropped.

    source           the file, as it is named under the folder that was given
    place            of the document in the file: a row or a page group; 0 in a file of one document
    start            of the text in the document's whole text, in characters; above 0 in a later part of a long one
    sha256           of the whole text before cleaning; of the bytes, if they are unreadable
    characters       of the text
    language         ISO 639-1, as found; None: not found out
    probability      of that language
    title, licence   empty, None: not known
    dropped          why it is not used; None: it is used
    value, limit     what was measured for that reason, and the limit that it broke
    nearest_id       the document that it is a duplicate of
    text             empty if it is dropped
    """

    source: str
    place: Place
    start: Offset
    format: DocumentFormat
    sha256: Sha256
    characters: Count
    language: str | None
    probability: Share | None
    title: str = ""
    licence: str | None = None
    dropped: DropReason | None = None
    value: float | None = None
    limit: float | None = None
    nearest_id: str | None = None
    text: str = ""


class DocumentWithdrawn(Event, frozen=True, kw_only=True):
    """A document may not be used any more: nothing is made from it, and no data set or training has a row from it."""

    document_id: str
    reason: str
