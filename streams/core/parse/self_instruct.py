"""Reading the answers of the `self-instruct` style: a list of instructions, yes or no, and instances.

An instance is an input and an output; instances of ordinary tasks come input first, those of classification tasks come
output first, the class label before a text that deserves it. All readings are pure and total: any text gives a result,
and what nothing could be read from comes back as `Unparsed` with a reason. Only labels, numbers between items and
`<noinput>` marks are in neither.

Unparsed parts give as reason: `cut` (the answer ended in it), `no_number`, `neither_yes_nor_no`, `before_label`,
`no_output_label`, `no_class_label`, `further_instance` (only one instance of an instruction is taken, see `chosen`).
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
_MARKS = r"[ \t]*[#>*]*[ \t]*"
_EXAMPLE = re.compile(rf"^{_MARKS}(?:Example|Instance)[ \t]*[0-9]*[ \t]*[.:)]?\*{{0,2}}[ \t]*$", re.I | re.M)
_FIELD = re.compile(rf"^{_MARKS}(?P<name>Input|Output)(?:[ \t]*[0-9]+)?\*{{0,2}}[ \t]?:\*{{0,2}}", re.I | re.M)
_CLASS = re.compile(rf"^{_MARKS}(?:Class[ \t]+label|Label)(?:[ \t]*[0-9]+)?\*{{0,2}}[ \t]?:\*{{0,2}}", re.I | re.M)


@dataclass(frozen=True)
class Instance:
    """An input and the output that answers it."""

    input: str
    output: str


Instances = tuple[tuple[Instance, ...], tuple[Unparsed, ...]]


def parse_bootstrap(raw: str, *, parser: Literal["strict", "faithful"], first_number: int, cut: bool) -> Items:
    """Read the instructions of a list that goes on from `<first_number>.`

    `faithful` splits at a line break, a number and a full stop, and drops a `cut` answer whole. `strict` reads as
    `streams.core.parse.lists.parse_list` does and of a cut answer leaves the last item only.
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
    """Read instances of `Input:` and `Output:`, with a line `Example 1` and so on before each, or without.

    Without any label the text is the output of an instance without input, which is how some models answer. A text
    between an example's line and its `Output:` is its input, whatever it is called there.
    """
    found: list[Instance] = []
    unparsed: list[Unparsed] = []
    examples = list(_EXAMPLE.finditer(raw))
    begins = [(0, False), *((match.end(), True) for match in examples)]
    ends = [*(match.start() for match in examples), len(raw)]
    spans = [(begin, end, named) for (begin, named), end in zip(begins, ends, strict=True) if raw[begin:end].strip()]
    for begin, end, named in spans:
        # before the first example's line there may be a remark, which is no instance
        alone = named or len(spans) == 1
        _example(raw[begin:end], named, alone, cut and end == len(raw), found, unparsed)
    return tuple(found), tuple(unparsed)


def parse_output_first(raw: str, *, cut: bool) -> Instances:
    """Read instances of `Class label:` and `Input:`; a label with nothing after it is an instance without input.

    The first line after `Class label:` is the output; what follows it without an `Input:` is the input too.
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
    """Which instance stands for the instruction on the log; None when there is none with an output of its own.

    The first; of a classification task's, one by a hash of the instruction: its instances come in the order of the
    labels, so that the first would always bear the label that comes to mind first.
    """
    sound = [place for place, one in enumerate(instances) if one.output and one.output != one.input]
    if not sound:
        return None
    if not is_classification:
        return sound[0]
    digest = hashlib.sha256(instruction.encode("utf-8", "surrogatepass")).digest()
    return sound[int.from_bytes(digest) % len(sound)]


def further(instances: Sequence[Instance], taken: int | None) -> tuple[Unparsed, ...]:
    """The instances that are not taken, for the record."""
    return tuple(
        Unparsed(reason="further_instance", text=f"Input: {one.input}\nOutput: {one.output}")
        for place, one in enumerate(instances)
        if place != taken
    )


def _example(text: str, named: bool, alone: bool, cut: bool, found: list[Instance], unparsed: list[Unparsed]) -> None:
    """Read what stands after one example's line: one instance, or more when the labels begin anew."""
    labels = list(_FIELD.finditer(text))
    if cut:  # what ends in the last field is not whole; whole instances before it are
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
    """Whether a label begins an instance: every one but an output right after an input."""
    return place == 0 or (labels[place]["name"].lower(), labels[place - 1]["name"].lower()) != ("output", "input")


def _input(text: str) -> str:
    text = text.strip()
    return "" if NO_INPUT_MARK.fullmatch(text) else text
