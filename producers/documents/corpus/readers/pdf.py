"""PDF files: the text of all pages, as pypdf finds it."""

import logging
import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest

# What reading a damaged file raises, beside pypdf's own errors.
_DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RecursionError,
    OSError,
    zlib.error,
)
_HYPHENATED = re.compile(r"(?<=[^\W\d_])-\n(?=[a-z])")
_BROKEN_LINE = re.compile(r"(?<=[\w,;])\n(?=[a-z(])")


def read_pdf(file: CorpusFile, stream: BinaryIO, options: ReadOptions) -> Iterator[FoundText]:
    """The text of all pages, a blank line between two. An encrypted file is read if its password is empty."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what is wrong is said here
    raw = stream.read()
    sha256 = digest(raw)
    try:
        reader = PdfReader(BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            yield FoundText(file.source, 0, file.format, sha256, wrong="encrypted; remove its password")
            return
        text = "\n\n".join(whole_lines(page.extract_text()) for page in reader.pages)
        title = (reader.metadata and reader.metadata.title) or ""
    except DependencyError as error:
        yield FoundText(file.source, 0, file.format, sha256, wrong=f"encrypted in a way that is not read here: {error}")
        return
    except (PyPdfError, *_DAMAGED) as error:
        yield FoundText(file.source, 0, file.format, sha256, wrong=f"damaged: {error or type(error).__name__}")
        return
    yield FoundText(file.source, 0, file.format, digest(text), text, title=str(title).strip())


def whole_lines(page: str) -> str:
    """A page's text, with the lines of a sentence joined that only the page's width has broken."""
    return _BROKEN_LINE.sub(" ", _HYPHENATED.sub("", page))
