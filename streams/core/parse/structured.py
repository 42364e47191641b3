"""Parses tasks in JSON as models write it: an object with a list, a list, JSON Lines, in a fence or in prose.

`parse_structured` is version 1 of the parser, `parse_json` version 2. That one decodes each object separately, so an
invalid one loses only itself: parsing resumes at the next brace. An object with an `instruction` is a task, whatever
else it has; numbers, lists and objects as its input or output become JSON text. If an object does not decode, invalid
escapes, as in LaTeX, are read as backslashes.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from schemas.events import Instruction, Unparsed
from streams.core.parse.leftover import Parsed, leave
from streams.core.parse.no_input import NO_INPUT, NO_INPUT_MARK

_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)')
_FRAME = re.compile(r"```+\w*|[\s,;\[\]{}]+|\"\w+\"\s*:\s*(?=\[|$)")
_MOST_NESTED = 100  # depth of lists and objects; the decoder's own limit depends on the caller's stack
_decoder = json.JSONDecoder(strict=False)


def parse_structured(raw: str, *, cut: bool) -> Parsed:
    """Parse `{"tasks": [{"instruction", "input", "output"}, ...]}`, or the array alone, also in a Markdown fence.

    If an answer is truncated or becomes invalid JSON, the objects before that point are parsed.
    """
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    array = re.search(r"\[\s*(?=[{\]])", raw)
    at = array.end() if array else len(raw)
    if array is None:
        leave(unparsed, "cut" if cut else "not_json", raw)
    while at < len(raw):
        gap = re.compile(r"[\s,]*").match(raw, at)
        at = gap.end() if gap else at
        if raw[at : at + 1] != "{":
            break
        try:
            value, end = _decoder.raw_decode(raw, at)
        except (ValueError, RecursionError):
            break
        task = _object(value)
        if task is None:
            leave(unparsed, "not_a_task", raw[at:end])
        else:
            instructions.append(task)
        at = end
    rest = raw[at:]
    if array and not re.fullmatch(r"\s*\]\s*\}?\s*(?:```)?\s*", rest):
        leave(unparsed, "cut" if cut else "not_json", rest)
    if array and not re.fullmatch(r"\s*(?:```(?:json)?\s*)?(?:\{\s*\"\w+\"\s*:\s*)?", raw[: array.start()]):
        leave(unparsed, "before_json", raw[: array.start()])
    return tuple(instructions), tuple(unparsed)


def parse_json(text: str, *, cut: bool) -> Parsed:
    """Parse the tasks. Unparsed text has the reason `before_json`, `not_json`, `not_a_task`, or `cut` at the end of a
    truncated answer."""
    instructions: list[Instruction] = []
    unparsed: list[Unparsed] = []
    at = begin = 0  # where to search the next brace; the start of the unprocessed text
    while (brace := text.find("{", at)) >= 0:
        decoded = _decode(text, brace)
        if decoded is None:
            at = brace + 1
            continue
        value, end = decoded
        first = not instructions and not unparsed
        _leave_gap(unparsed, "before_json" if first else "not_json", text[begin:brace])
        for item in _items(value):
            task = _task(item)
            if task is None:
                leave(unparsed, "not_a_task", _storable(json.dumps(item, ensure_ascii=False)))
            else:
                instructions.append(task)
        at = begin = end
    _leave_gap(unparsed, "cut" if cut else "not_json", text[begin:])
    return tuple(instructions), tuple(unparsed)


def _object(value: dict[str, Any]) -> Instruction | None:
    fields = {name: "" if value.get(name) is None else value[name] for name in ("instruction", "input", "output")}
    if set(value) - set(fields) or not all(isinstance(text, str) for text in fields.values()):
        return None
    if not fields["instruction"].strip():
        return None
    # JSON can escape a lone surrogate, which an event cannot hold.
    texts = {name: text.strip().encode("utf-8", "replace").decode() for name, text in fields.items()}
    return Instruction(
        instruction=texts["instruction"],
        input="" if NO_INPUT_MARK.fullmatch(texts["input"]) else texts["input"],
        output=texts["output"],
    )


def _decode(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    """The object that starts here, and its end; None when there is none."""
    try:
        value, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return _decode_repaired(text, start)
    return None if _is_nested(value) else (value, end)


def _decode_repaired(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    """As `_decode`, for an object without inner objects, with invalid escapes repaired."""
    following = text.find("{", start + 1)
    stretch = text[start : following if following >= 0 else len(text)]
    if "\\" not in stretch:
        return None
    repaired = _ESCAPE.sub(lambda found: found[0] if found[1] else "\\\\", stretch)
    try:
        value, end = _decoder.raw_decode(repaired)
    except (ValueError, RecursionError):
        return None
    if _is_nested(value):
        return None
    # Its end in the original text: without the backslashes added before it.
    return value, start + end - _added(stretch, end)


def _is_nested(value: Any) -> bool:
    """Whether a value is nested deeper than the limit."""
    level = [value]
    for _ in range(_MOST_NESTED):
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [part for parts in inner for part in parts]
        if not level:
            return False
    return True


def _added(stretch: str, end: int) -> int:
    """The number of backslashes added before character `end` of the repaired stretch."""
    added = 0
    for found in _ESCAPE.finditer(stretch):
        if not found[1]:
            if found.start() + added >= end:
                break
            added += 1
    return added


def _items(value: dict[str, Any]) -> Iterator[Any]:
    """The object itself, or the items of its only list of objects when it is not a task."""
    lists = [part for part in value.values() if isinstance(part, list) and any(isinstance(x, dict) for x in part)]
    if len(lists) == 1 and "instruction" not in {key.lower() for key in value}:
        yield from lists[0]
    else:
        yield value


def _task(value: Any) -> Instruction | None:
    if not isinstance(value, dict):
        return None
    fields = {key.lower(): part for key, part in value.items()}
    instruction = fields.get("instruction")
    if not isinstance(instruction, str) or not instruction.strip():
        return None
    given = _text(fields.get("input"))
    return Instruction(
        instruction=_text(instruction),
        input="" if NO_INPUT.fullmatch(given) else given,
        output=_text(fields.get("output")),
    )


def _text(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _storable(text.strip())


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON can escape and an event cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _leave_gap(unparsed: list[Unparsed], reason: str, gap: str) -> None:
    """Record the text between objects, unless it is only JSON punctuation or a fence."""
    if _FRAME.sub("", gap).strip():
        leave(unparsed, reason, gap.strip(" \t\r\n,"))
