"""Where in a raw answer an instruction is.

The log holds the answer and the instructions parsed from it, but not their places. Instructions are searched in order,
each after the one before and its output: first after a label or a number, then anywhere; verbatim, with other white
space, and as a JSON string. If a text occurs several times, the occurrence found may not be the one that was parsed.
"""

import json
import re
from collections.abc import Iterator, Sequence

from consumers.explain.schema.place import Span
from schemas.events import Instruction

_LABEL = re.compile(
    r"(?:Instruction\*{0,2}\s?:(?:\*\*)?|\"instruction\"\s*:\s*\"|(?:^|\n)[ \t]*\*{0,2}[0-9]{1,4}\s?[.):]\*{0,2}"
    r"|(?:^|\n)[ \t]*[-*•])\s*(?:\*\*|[\"“])?$|\A\s*\Z"
)
_LABEL_REACH = 80  # characters before an occurrence that are searched for its label
_JSON_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def instruction_span(raw: str, instructions: Sequence[Instruction], place: int) -> Span | None:
    """Characters [start, end) of `raw` that hold the place-th of the instructions parsed from it; None if not found."""
    after = 0
    found: Span | None = None
    for task in instructions[: place + 1]:
        found = _find(raw, task.instruction, after)
        if found is not None:
            output = raw.find(task.output, found[1])
            after = found[1] if output < 0 else output + len(task.output)
    return found


def _find(raw: str, text: str, after: int) -> Span | None:
    if not text:
        return None
    for occurrences in (_verbatim, _other_spaces, _json_string):
        spans = list(occurrences(raw, text, after))
        labelled = (span for span in spans if _LABEL.search(_before(raw, span)))
        found = next(labelled, spans[0] if spans else None)
        if found is not None:
            return found
    return None


def _before(raw: str, span: Span) -> str:
    start = max(0, span[0] - _LABEL_REACH)
    return ("…" if start else "") + raw[start : span[0]]


def _verbatim(raw: str, text: str, after: int) -> Iterator[Span]:
    at = raw.find(text, after)
    while at >= 0:
        yield at, at + len(text)
        at = raw.find(text, at + 1)


def _other_spaces(raw: str, text: str, after: int) -> Iterator[Span]:
    pattern = re.compile(r"\s+".join(map(re.escape, text.split())))
    return (match.span() for match in pattern.finditer(raw, after))


def _json_string(raw: str, text: str, after: int) -> Iterator[Span]:
    for match in _JSON_STRING.finditer(raw, after):
        try:
            value = json.loads(match[0], strict=False)
        except ValueError:
            continue
        if value.strip() == text:
            yield match.span(1)
