"""A text as it is found in a file."""

import hashlib
from dataclasses import dataclass

from schemas.documents import DocumentFormat

MAX_LABEL = 1_000
"""Characters of a title or a licence; the rest is cut off, so that an event fits into a record."""


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    text_column      of JSON and Parquet; None: the first of the usual names that is there
    max_characters   of a document; a longer one is not held in memory if that can be avoided
    """

    text_column: str | None = None
    max_characters: int = 10_000_000


@dataclass(frozen=True)
class FoundText:
    """A document as a reader finds it.

    place        in its file: of a row; 0 in a file of one document
    sha256       of the text before cleaning, in UTF-8; without a text, of the bytes
    text         empty if it is `wrong`, or too long to be held
    title        cut to `MAX_LABEL` characters, as is `licence`
    characters   of a text that is too long to be held; 0: see `text`
    wrong        why it cannot be read; empty: it can
    """

    source: str
    place: int
    format: DocumentFormat
    sha256: str
    text: str = ""
    title: str = ""
    licence: str | None = None
    characters: int = 0
    wrong: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title[:MAX_LABEL])
        if self.licence is not None:
            object.__setattr__(self, "licence", self.licence[:MAX_LABEL])


def digest(raw: bytes | str) -> str:
    """SHA-256 in hexadecimal; of a string in UTF-8, halves of surrogate pairs as they are."""
    return hashlib.sha256(raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw).hexdigest()
