"""Parses answers of the `self-instruct` style: a list of instructions, yes or no, and instances.

An instance is an input and an output; ordinary tasks have the input first, classification tasks the output: the class
label before a text of that class. All parsers are total: every text gives a result, and unparsed text is returned as
`Unparsed` with a reason, except labels, numbers between items and `<noinput>` marks.

Reasons: `cut` (the answer ended in it), `no_number`, `neither_yes_nor_no`, `before_label`, `no_output_label`,
`no_class_label`, `further_instance` (only one instance of an instruction is used, see `chosen`).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.events import Unparsed
from streams.core.parse.leftover import Items, leave
from streams.core.parse.lists import parse_list
from streams.core.parse.no_input import NO_INPUT_MARK

_NUMBER = re.compile(r"\n[0-9]+\s?\.")
_WORD = re.compile(r"[^\W\d_]+")
_MARKS = r"[ \t]*+[#>*]*+[ \t]*+"
_EXAMPLE = re.compile(rf"^{_MARKS}(?:Example|Instance)[ \t]*+[0-9]*+[ \t]*+[.:)]?\*{{0,2}}[ \t]*+$", re.I | re.M)
_FIELD = re.compile(rf"^{_MARKS}(?P<name>Input|Output)(?:[ \t]*[0-9]+)?\*{{0,2}}[ \t]?:\*{{0,2}}", re.I | re.M)
_CLASS = re.compile(rf"^{_MARKS}(?:Class[ \t]+label|Label)(?:[ \t]*[0-9]+)?\*{{0,2}}[ \t]?:\*{{0,2}}", re.I | re.M)


@dataclass(frozen=True)
class Instance:
    """An input and its output."""

    input: str
    output: str


Instances = tuple[tuple[Instance, ...], tuple[Unparsed, ...]]


def parse_bootstrap(raw: str, *, parser: Literal["strict", "faithful"], first_number: int, cut: bool) -> Items:
    """Parse the instructions of a list that continues from `<first_number>.`

    `faithful` splits at a line break, a number and a full stop, and drops a `cut` answer entirely. `strict` is
    `streams.core.parse.lists.parse_list`, which drops only its last item.
    """
    if parser == "strict":
        return parse_list(raw, first_number=first_number, cut=cut)
    if cut:
        unparsed: list[Unparsed] = []
        leave(unparsed, "cut", raw)
        return (), tuple(unparsed)
    items = (" ".join(part.split()) for part in _NUMBER.split(f"\n{raw}"))
    return tuple(item for item in items if item), ()


def parse_is_classification(raw: str) -> bool | None:
    """Whether the answer's first word is yes; None when it is neither yes nor no."""
    word = _WORD.search(raw)
    return None if word is None else {"yes": True, "no": False}.get(word[0].lower())


def parse_input_first(raw: str, *, cut: bool) -> Instances:
    """Parse instances of `Input:` and `Output:`, with or without a line like `Example 1` before each.

    Text without a label is the output of an instance without input, as some models answer. Text between an example's
    line and its `Output:` is its input, whatever its label.
    """
    found: list[Instance] = []
    unparsed: list[Unparsed] = []
    examples = list(_EXAMPLE.finditer(raw))
    begins = [(0, False), *((match.end(), True) for match in examples)]
    ends = [*(match.start() for match in examples), len(raw)]
    spans = [(begin, end, named) for (begin, named), end in zip(begins, ends, strict=True) if raw[begin:end].strip()]
    for begin, end, named in spans:
        # A remark before the first example's line is not an instance.
        alone = named or len(spans) == 1
        _example(raw[begin:end], named, alone, cut and end == len(raw), found, unparsed)
    return tuple(found), tuple(unparsed)


def parse_output_first(raw: str, *, cut: bool) -> Instances:
    """Parse instances of `Class label:` and `Input:`; a label with nothing after it is an instance without input.

    The first line after `Class label:` is the output; the text after it is the input, also without `Input:`.
    """
    found: list[Instance] = []
    unparsed: list[Unparsed] = []
    labels = list(_CLASS.finditer(raw))
    if not labels:
        leave(unparsed, "cut" if cut else "no_class_label", raw)
        return (), tuple(unparsed)
    leave(unparsed, "before_label", raw[: labels[0].start()])
    ends = [*(match.start() for match in labels[1:]), len(raw)]
    for place, (label, end) in enumerate(zip(labels, ends, strict=True)):
        text = raw[label.end() : end]
        if cut and place == len(labels) - 1:
            leave(unparsed, "cut", text)
            continue
        output, _, rest = text.strip().partition("\n")
        field = _FIELD.search(rest)
        if field is not None and field["name"].lower() == "input":
            leave(unparsed, "before_label", rest[: field.start()])
            rest = rest[field.end() :]
        found.append(Instance(_input(rest), output.strip()))
    return tuple(found), tuple(unparsed)


def chosen(instances: Sequence[Instance], instruction: str, is_classification: bool) -> int | None:
    """The instance that is used for the instruction; None when none has an output different from its input.

    The first; for a classification task, one by a hash of the instruction, because its instances are in the order of
    the labels, so the first would always have the most obvious label.
    """
    sound = [place for place, one in enumerate(instances) if one.output and one.output != one.input]
    if not sound:
        return None
    if not is_classification:
        return sound[0]
    digest = hashlib.sha256(instruction.encode("utf-8", "surrogatepass")).digest()
    return sound[int.from_bytes(digest) % len(sound)]


def further(instances: Sequence[Instance], taken: int | None) -> tuple[Unparsed, ...]:
    """The instances that are not used, as `Unparsed`."""
    return tuple(
        Unparsed(reason="further_instance", text=f"Input: {one.input}\nOutput: {one.output}")
        for place, one in enumerate(instances)
        if place != taken
    )


def _example(text: str, named: bool, alone: bool, cut: bool, found: list[Instance], unparsed: list[Unparsed]) -> None:
    """Parse the text after one example's line: one instance, or more when the labels repeat."""
    labels = list(_FIELD.finditer(text))
    if cut:  # the last instance is incomplete
        last = max((place for place, label in enumerate(labels) if _begins(labels, place)), default=0)
        start = labels[last].start() if last else 0
        leave(unparsed, "cut", text[start:])
        text, labels = text[:start], labels[:last]
        if not text.strip():
            return
    if not labels:
        if alone:
            found.append(Instance("", text.strip()))
        else:
            leave(unparsed, "before_label", text)
        return
    begins = [place for place in range(len(labels)) if _begins(labels, place)]
    head = text[: labels[0].start()]
    for start, end in zip(begins, [*begins[1:], len(labels)], strict=True):
        fields = labels[start:end]
        stop = labels[end].start() if end < len(labels) else len(text)
        output = fields[-1]
        if output["name"].lower() != "output":
            leave(unparsed, "no_output_label", head + text[fields[0].start() : stop])
        elif len(fields) == 2:
            leave(unparsed, "before_label", head)
            found.append(Instance(_input(text[fields[0].end() : output.start()]), text[output.end() : stop].strip()))
        elif named:
            found.append(Instance(_input(head), text[output.end() : stop].strip()))
        else:
            leave(unparsed, "before_label", head)
            found.append(Instance("", text[output.end() : stop].strip()))
        head = ""


def _begins(labels: Sequence[re.Match[str]], place: int) -> bool:
    """Whether a label starts an instance: any but an output right after an input."""
    return place == 0 or (labels[place]["name"].lower(), labels[place - 1]["name"].lower()) != ("output", "input")


def _input(text: str) -> str:
    text = text.strip()
    return "" if NO_INPUT_MARK.fullmatch(text) else text
