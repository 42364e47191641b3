"""Rows from a file in Alpaca's form: a JSON array, or JSON Lines, of instruction, input and output.

It is what `sedi export --format alpaca` writes and what most instruction data comes in. Other fields are passed over.
"""

from pathlib import Path

import msgspec

from schemas.errors import ConfigurationError
from schemas.events import Instruction


def read_rows(path: Path, most: int | None = None) -> tuple[Instruction, ...]:
    """The file's rows in its order, at most `most`. Raises ConfigurationError when it has none that can be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}. Give a .json or .jsonl file of rows."
        ) from error
    try:
        rows = _array(raw) if raw.lstrip()[:1] == b"[" else _lines(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is not a file of rows: {error}. Give a JSON array or JSON Lines of objects with `instruction`, "
            "`input` and `output`, as `sedi export --format alpaca` writes it."
        ) from error
    if not rows:
        raise ConfigurationError(f"{path} has no rows. Give a file with some.")
    return rows[:most]


def _array(raw: bytes) -> tuple[Instruction, ...]:
    return msgspec.json.decode(raw, type=tuple[Instruction, ...])


def _lines(raw: bytes) -> tuple[Instruction, ...]:
    decoder = msgspec.json.Decoder(Instruction)
    rows = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if line.strip():
            try:
                rows.append(decoder.decode(line))
            except msgspec.MsgspecError as error:
                raise msgspec.ValidationError(f"line {number}: {error}") from error
    return tuple(rows)
