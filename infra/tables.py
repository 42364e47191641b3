"""Reads files of rows: JSON Lines, a JSON array, CSV or Parquet; plain or gzipped.

The format is detected from the content first, then from the name: gzip and Parquet by their first bytes, JSON by its
first character. Text is UTF-8, with or without a byte order mark, with any line ends; blank lines are skipped.
A row maps names to values as in the file; `infra.columns` interprets them, and `read_tasks` does both.

The whole file is held in memory. A number with a fraction keeps its digits (Decimal); every cell of a CSV is text.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from infra.columns import KNOWN, ColumnTask, task_of
from schemas.errors import ConfigurationError

_GZIP, _PARQUET, _BOM = b"\x1f\x8b", b"PAR1", b"\xef\xbb\xbf"
_CSV_NAMES, _JSON_NAMES = (".csv", ".tsv"), (".json", ".jsonl", ".ndjson")
_DELIMITERS = (",", "\t", ";")
_LARGEST_CELL = 2**31 - 1  # characters; the csv module's default is 131,072

_decoder = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True)
class TableRow:
    """A row: its place in the file, `line 3` or `row 3` (from 1), and its fields."""

    place: str
    fields: dict[str, Any]


def read_table(path: Path) -> tuple[TableRow, ...]:
    """The file's rows in order; at least one.

    Raises ConfigurationError, with the file and the line or row, for content in none of the formats.
    """
    raw = _bytes(path)
    name = path.name.lower().removesuffix(".gz")
    if raw.startswith(_PARQUET):
        rows = list(_parquet(raw, path))
    else:
        text = _text(raw, path)
        first = text.lstrip()[:1]
        if name.endswith(_CSV_NAMES) or (first and first not in "[{" and not name.endswith(_JSON_NAMES)):
            rows = list(_csv(text, path))
        else:
            rows = list(_array(text, path) if first == "[" or _is_one_object(text) else _lines(text, path))
    if not rows:
        raise ConfigurationError(f"{path} has no rows. Give a file with some.")
    return tuple(rows)


def read_tasks(path: Path) -> tuple[ColumnTask, ...]:
    """The file's rows as tasks, including those without an output; at least one.

    Raises ConfigurationError as `read_table` does, and for a row whose fields cannot be mapped.
    """
    return tuple(task_of(row.fields, str(path), row.place) for row in read_table(path))


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{path} cannot be read: {why}. Give a file of rows: JSON Lines, JSON, CSV or Parquet, gzipped or not."
        ) from error


def _text(raw: bytes, path: Path) -> str:
    try:
        return raw.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: not UTF-8 text ({error.reason}, byte 0x{raw[error.start]:02x}). Save it as UTF-8."
        ) from error


def _array(text: str, path: Path) -> Iterator[TableRow]:
    found = _decode(text, f"{path}")
    for number, row in enumerate(found if isinstance(found, list) else [found], start=1):
        yield _row(row, path, f"row {number}")


def _is_one_object(text: str) -> bool:
    """Whether the text is a single JSON object over several lines."""
    if text.lstrip().partition("\n")[0].rstrip().endswith("}"):
        return False  # JSON Lines: not decoded twice
    try:
        return isinstance(_decoder.decode(text), dict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def _lines(text: str, path: Path) -> Iterator[TableRow]:
    # Not splitlines, which also splits at line separators inside JSON strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _row(_decode(line, f"{path}, line {number}"), path, f"line {number}")


def _decode(text: str, where: str) -> Any:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: not JSON ({error}). Give JSON Lines (an object a line), a JSON array of objects, CSV or Parquet."
        ) from error


def _row(found: Any, path: Path, place: str) -> TableRow:
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path}, {place}: a row must be a JSON object with named fields, and this is not.")
    return TableRow(place, found)


def _csv(text: str, path: Path) -> Iterator[TableRow]:
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    names: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cells):
                continue
            if names is None:
                names = cells
            elif len(cells) != len(names):
                raise ConfigurationError(
                    f"{path}, line {line}: {len(cells)} cells, and the header has {len(names)}: {', '.join(names)}. "
                    "Put texts that hold the delimiter or a line break into double quotes."
                )
            else:
                yield TableRow(f"line {line}", dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {before + 1}: not CSV ({error}). Correct the quotes there.") from error


def _delimiter(text: str) -> str:
    """The delimiter that splits the header into the most known names; of equal ones, into the most names."""
    header = next((line for line in text.split("\n") if line.strip()), "")

    def fit(delimiter: str) -> tuple[int, int]:
        names = [name.strip(' "\r').casefold() for name in header.split(delimiter)]
        return sum(name in KNOWN for name in names), len(names)

    return max(_DELIMITERS, key=fit)


def _parquet(raw: bytes, path: Path) -> Iterator[TableRow]:
    import polars as pl

    try:
        found = pl.read_parquet(io.BytesIO(raw)).to_dicts()
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as Parquet: {error}. Write it again.") from error
    for number, row in enumerate(found, start=1):
        yield TableRow(f"row {number}", row)
