"""The text formats: each with the form of a row and of the file.

    alpaca      JSON array of instruction, input, output                      (Stanford Alpaca, LLaMA-Factory)
    sharegpt    JSON array of id, conversations of `human` and `gpt`; no system turn    (FastChat, LLaMA-Factory)
    openai      JSON Lines of messages of `user` and `assistant`              (OpenAI's fine-tuning)
    trl         JSON Lines of prompt and completion, plain texts              (TRL's standard prompt-completion)

Where a format has one text for the prompt, the input follows the instruction after an empty line, as the trainer does
for a chat model. TRL concatenates a plain prompt and its completion, so the prompt ends with an empty line too.

Texts are escaped only where JSON demands it, and at line separators that JSON allows in a text but at which many
readers of lines split (U+2028, U+2029, U+0085). Files are UTF-8 and end with a newline.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from consumers.export.rows import ExportRow, FileLineage, Lineage

_SEPARATORS = {character.encode(): f"\\u{ord(character):04x}".encode() for character in "\u2028\u2029\x85"}
_encoder = msgspec.json.Encoder()


class AlpacaRecord(msgspec.Struct, frozen=True):
    instruction: str
    input: str
    output: str


class ShareGptTurn(msgspec.Struct, frozen=True):
    speaker: Literal["human", "gpt"] = msgspec.field(name="from")
    value: str


class ShareGptRecord(msgspec.Struct, frozen=True):
    id: str
    conversations: tuple[ShareGptTurn, ShareGptTurn]


class OpenAiMessage(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: str


class OpenAiRecord(msgspec.Struct, frozen=True):
    messages: tuple[OpenAiMessage, OpenAiMessage]


class TrlRecord(msgspec.Struct, frozen=True):
    prompt: str
    completion: str


def prompt(row: ExportRow) -> str:
    """Instruction and input as one text."""
    kept = row.kept
    return f"{kept.instruction}\n\n{kept.input}" if kept.input.strip() else kept.instruction


def alpaca(row: ExportRow) -> AlpacaRecord:
    return AlpacaRecord(row.kept.instruction, row.kept.input, row.kept.output)


def sharegpt(row: ExportRow) -> ShareGptRecord:
    return ShareGptRecord(row.name, (ShareGptTurn("human", prompt(row)), ShareGptTurn("gpt", row.kept.output)))


def openai(row: ExportRow) -> OpenAiRecord:
    return OpenAiRecord((OpenAiMessage("user", prompt(row)), OpenAiMessage("assistant", row.kept.output)))


def trl(row: ExportRow) -> TrlRecord:
    return TrlRecord(f"{prompt(row)}\n\n", row.kept.output)


def lineage(row: ExportRow) -> Lineage | FileLineage:
    return row.lineage


def _one_line(encoded: bytes) -> bytes:
    """The same JSON, with line separators escaped."""
    for separator, escaped in _SEPARATORS.items():
        encoded = encoded.replace(separator, escaped)
    return encoded


Item = TypeVar("Item")


@dataclass(frozen=True)
class TextFormat(Generic[Item]):
    """A file of rows: its name, whether it is one JSON array or JSON Lines, and its form of a row."""

    file: str
    array: bool
    convert: Callable[[Item], object]


TEXT_FORMATS = {
    "alpaca": TextFormat("alpaca.json", True, alpaca),
    "sharegpt": TextFormat("sharegpt.json", True, sharegpt),
    "openai": TextFormat("openai.jsonl", False, openai),
    "trl": TextFormat("trl.jsonl", False, trl),
    "lineage": TextFormat("lineage.jsonl", False, lineage),
}


class TextFile(Generic[Item]):
    """Writes rows in a text format."""

    def __init__(self, folder: Path, format: TextFormat[Item]) -> None:
        self._format = format
        self._file = (folder / format.file).open("wb")
        self._rows = 0
        if format.array:
            self._file.write(b"[")

    def write(self, rows: Sequence[Item]) -> None:
        lines = [_one_line(_encoder.encode(self._format.convert(row))) for row in rows]
        if self._format.array:
            self._file.write((b",\n" if self._rows else b"\n") + b",\n".join(lines))
        else:
            self._file.write(b"\n".join(lines) + b"\n")
        self._rows += len(lines)

    def close(self) -> None:
        """Write the end of the file."""
        if self._format.array:
            self._file.write(b"\n]\n" if self._rows else b"]\n")
        self._file.close()

    def abort(self) -> None:
        """Close the file unfinished."""
        self._file.close()
