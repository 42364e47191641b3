"""Plain text and Markdown: one document a file."""

import hashlib
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import BinaryIO

from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest

_BLOCK = 1 << 20
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_HEADING = re.compile(r"\A\s*+#\s++(.{1,2000})")  # longer than `MAX_LABEL`


def read_plain(file: CorpusFile, stream: BinaryIO, options: ReadOptions) -> Iterator[FoundText]:
    """The file's text; the title is a Markdown file's first heading, if it begins with one of the first level."""
    most = options.max_characters * 4
    raw = stream.read(most + 1)
    if len(raw) > most:
        yield _too_long(file, raw, stream)
        return
    text = decoded(raw)
    if text is None:
        wrong = "neither UTF-8 nor UTF-16, and it holds zero bytes, so it is no text"
        yield FoundText(file.source, 0, file.format, digest(raw), wrong=wrong)
        return
    title = heading(text) if file.format == "markdown" else ""
    yield FoundText(file.source, 0, file.format, digest(text), text, title=title)


def heading(text: str) -> str:
    """The heading that a Markdown text begins with, if it is one of the first level; else nothing."""
    found = _HEADING.match(text)
    return "" if found is None else found[1].rstrip().rstrip("#").rstrip()


def decoded(raw: bytes) -> str | None:
    """The bytes as text: by their byte order mark, as UTF-8, else as Windows-1252; None for what is no text."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, errors="replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None if b"\0" in raw else raw.decode("cp1252", errors="replace")


def _too_long(file: CorpusFile, begun: bytes, stream: BinaryIO) -> FoundText:
    """A file that is read to its end and not held. Of other encodings the count is not exact."""
    encoding = next((name for mark, name in _MARKS if begun.startswith(mark)), "utf-8")
    decoder = getincrementaldecoder(encoding)(errors="replace")
    found, characters, block = hashlib.sha256(), 0, begun
    if any(begun.startswith(mark) for mark, _ in _MARKS):
        characters -= 1  # the mark
    while block:
        found.update(block)
        characters += len(decoder.decode(block))
        block = stream.read(_BLOCK)
    characters += len(decoder.decode(b"", final=True))
    return FoundText(file.source, 0, file.format, found.hexdigest(), characters=characters)
