"""JSON: a document a row, from JSON Lines or a list."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from producers.documents.corpus.files import CorpusFile
from producers.documents.corpus.readers.found import FoundText, ReadOptions, digest

TEXT_COLUMNS = ("text", "content", "body", "passage", "document", "article", "raw_content", "page_content")
TITLE_COLUMNS = ("title",)
LICENCE_COLUMNS = ("licence", "license")

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass
class RowReader:
    """Rows of one file to texts. The first row that is an object decides which column the text is in."""

    file: CorpusFile
    options: ReadOptions
    column: str | None = None

    def __post_init__(self) -> None:
        self.column = self.options.text_column

    def text(self, row: Any, place: int, raw: bytes | None = None) -> FoundText:
        """The text of a row: an object with a text column, or a string. `raw`: its bytes, if there are any."""
        if isinstance(row, str):
            return FoundText(self.file.source, place, self.file.format, digest(row), row)
        if not isinstance(row, Mapping):
            return self.wrong(f"a {type(row).__name__}, where an object or a string should be", place, row, raw)
        if self.column is None:
            self.column = next((name for name in TEXT_COLUMNS if isinstance(row.get(name), str)), None)
        text = "" if self.column is None else row.get(self.column)
        if self.column is None or not isinstance(text, str):
            wanted = ", ".join(TEXT_COLUMNS) if self.column is None else self.column
            there = ", ".join(map(str, row)) or "none"
            return self.wrong(
                f"no text in a column named {wanted}; its columns are {there}; name one with --text-column",
                place,
                row,
                raw,
            )
        title = next((found for name in TITLE_COLUMNS if isinstance(found := row.get(name), str)), "")
        licence = next((found for name in LICENCE_COLUMNS if isinstance(found := row.get(name), str) and found), None)
        return FoundText(
            self.file.source, place, self.file.format, digest(text), text, title=title.strip(), licence=licence
        )

    def wrong(self, what: str, place: int, row: Any, raw: bytes | None) -> FoundText:
        written = str(row) if raw is None else raw
        return FoundText(self.file.source, place, self.file.format, digest(written), wrong=what)


def read_json_lines(file: CorpusFile, stream: BinaryIO, options: ReadOptions) -> Iterator[FoundText]:
    """A document a line; empty lines are passed over, and count as places."""
    rows = RowReader(file, options)
    for place, raw in enumerate(stream):
        line = raw.removeprefix(b"\xef\xbb\xbf").strip() if place == 0 else raw.strip()
        if not line:
            continue
        try:
            row = msgspec.json.decode(line)
        except _NOT_JSON as error:
            yield rows.wrong(f"line {place + 1} is no JSON: {error}", place, None, line)
            continue
        yield rows.text(row, place, line)


def read_json_list(file: CorpusFile, stream: BinaryIO, options: ReadOptions) -> Iterator[FoundText]:
    """A document an item of the list; the whole file is in memory."""
    raw = stream.read()
    rows = RowReader(file, options)
    try:
        found = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except _NOT_JSON as error:
        yield rows.wrong(f"no JSON: {error}; a file of JSON Lines has to end in .jsonl", 0, None, raw)
        return
    if not isinstance(found, list):
        yield rows.wrong("no JSON list; a file with one object a line has to end in .jsonl", 0, None, raw)
        return
    for place, row in enumerate(found):
        yield rows.text(row, place)
