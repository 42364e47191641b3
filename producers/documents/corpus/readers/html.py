"""HTML pages: their main text, as trafilatura finds it in this process. Nothing is fetched."""

import logging
from collections.abc import Iterator
from typing import BinaryIO

from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest
from producers.documents.corpus.readers.plain import decoded

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def read_html(file: CorpusFile, stream: BinaryIO, options: ReadOptions) -> Iterator[FoundText]:
    """The page's main text, title and licence. A page without a text is an empty one, not one that is wrong."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # what is wrong is said here
    raw = stream.read()
    if not raw.strip():
        yield FoundText(file.source, 0, file.format, digest(raw))
        return
    page = decoded(raw)
    sha256 = digest(raw if page is None else page)
    try:
        # Bytes, not `page`: the page itself may name its encoding.
        found = trafilatura.bare_extraction(raw, include_comments=False, with_metadata=True, deduplicate=False)
    except _UNREADABLE as error:
        wrong = f"no HTML that can be read: {error or type(error).__name__}"
        yield FoundText(file.source, 0, file.format, sha256, wrong=wrong)
        return
    if found is None or isinstance(found, dict):
        yield FoundText(file.source, 0, file.format, sha256)
        return
    yield FoundText(
        file.source, 0, file.format, sha256, found.text or "", title=found.title or "", licence=found.license or None
    )
