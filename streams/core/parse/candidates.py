"""Parses a candidate: one instruction, and an input if it needs one, that a model wrote for a segment.

The form is the instruction; then, if there is an input, a line `Input:` with the input after it. Models, small ones
above all, write more: labels, quotes, a list of instructions, an answer. Only the first instruction is taken; what
follows it is returned as unparsed, with a reason:

    extra       another instruction, or anything after the first paragraph
    output      an answer to the instruction
    oversized   an instruction or input of more than MOST_CHARACTERS; then there is none
    empty       there is no instruction
"""

import re
from typing import NamedTuple

from schemas.events import Instruction, Unparsed
from streams.core.parse.leftover import leave
from streams.core.parse.no_input import without_marked_input

MOST_CHARACTERS = 4_000


class CandidateText(NamedTuple):
    """A parsed candidate. `complete`: other text follows it, so that it is whole even if the answer was truncated."""

    task: Instruction | None
    unparsed: tuple[Unparsed, ...] = ()
    complete: bool = False


def _label(*names: str) -> re.Pattern[str]:
    """A label at the start of a line, plain or in Markdown, with a number or without."""
    return re.compile(
        r"^[ \t]*(?:>[ \t]*)?(?:#{1,6}[ \t]*)?(?:\d{1,3}[.)][ \t]*)?[*_]{0,3}"
        rf"(?:{'|'.join(names)})(?:[ \t]*#?\d{{1,3}})?[*_]{{0,3}}[ \t]?[:：][*_]{{0,3}}[ \t]*",
        re.IGNORECASE | re.MULTILINE,
    )


_FIRST = _label("instructions?", "task", "question", "prompt", "request")
_LATER = _label("instructions?")
_INPUT = _label("inputs?")
_OUTPUT = _label("outputs?", "answers?", "responses?", "solution", "completion", "assistant")
_NUMBER = re.compile(r"(?P<mark>1[.)]|[-*•])[ \t]+(?=\S)")
_BLANK = re.compile(r"\n[ \t]*\n")
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "`": "`", "'": "'", "**": "**"}


def parse_candidate(text: str) -> CandidateText:
    """The instruction of an answer. Total: every text gives a result, and one without a task says why."""
    unparsed: list[Unparsed] = []
    rest = text.strip()
    rest = _before(_OUTPUT, rest, "output", unparsed)
    start = _FIRST.match(rest)
    rest = rest[start.end() :].lstrip() if start else rest
    rest = _before(_LATER, rest, "extra", unparsed)
    followed = bool(unparsed)
    field = _INPUT.search(rest)
    head, input = (rest, "") if field is None else (rest[: field.start()], rest[field.end() :])
    instruction = _unquoted(_first(head.strip(), unparsed))
    task = without_marked_input(Instruction(instruction=instruction, input=_unquoted(input.strip())))
    if not task.instruction or max(len(task.instruction), len(task.input)) > MOST_CHARACTERS:
        reason = "oversized" if task.instruction else "empty"
        left = rest.strip()[:MOST_CHARACTERS]
        return CandidateText(None, (Unparsed(reason=reason, text=left), *unparsed))
    return CandidateText(task, tuple(unparsed), followed or (field is None and bool(unparsed)))


def _before(label: re.Pattern[str], text: str, reason: str, unparsed: list[Unparsed]) -> str:
    """The text before a label; the rest is left."""
    found = label.search(text)
    if found is None:
        return text
    leave(unparsed, reason, text[found.start() :])
    return text[: found.start()].rstrip()


def _first(head: str, unparsed: list[Unparsed]) -> str:
    """The first paragraph, or the first item of a list; a paragraph that ends with a colon goes on in the next one."""
    mark = _NUMBER.match(head)
    if mark is not None:
        head = head[mark.end() :]
        later = r"\d{1,3}[.)]" if mark["mark"][0] == "1" else re.escape(mark["mark"])
        following = re.search(rf"\n[ \t]*{later}[ \t]+\S", head)
        if following is not None:
            leave(unparsed, "extra", head[following.start() :])
            head = head[: following.start()].rstrip()
    at, goes_on = 0, False
    for blank in _BLANK.finditer(head):
        paragraph = head[at : blank.start()].rstrip()
        at = blank.end()
        if paragraph:
            goes_on = paragraph.endswith((":", "："))
        if not goes_on:
            leave(unparsed, "extra", head[at:])
            return head[: blank.start()].rstrip()
    return head


def _unquoted(text: str) -> str:
    """The text without quotation marks around all of it, or one at its start that nothing closes."""
    for opening, closing in _QUOTES.items():
        if not text.startswith(opening):
            continue
        inside = text[len(opening) :]
        if (
            inside.endswith(closing)
            and opening not in inside[: -len(closing)]
            and closing not in inside[: -len(closing)]
        ):
            return inside[: -len(closing)].strip()
        if opening not in inside and closing not in inside and opening != "'":
            return inside.strip()
    return text
