"""Strips an LLM's answer of reasoning, template tokens and byte-order marks.

All parsers of answers start here (`streams.core.parse.answers`, `streams.core.judging`), so that a draft inside a
thought becomes neither row nor score. The log keeps the raw answer; the removed text is recorded as `Unparsed`.

Reasoning is the text between a pair of tags; before an unopened closing tag, because some chat templates open the
thought in the prompt; and after an unclosed opening tag, because the answer ended in it. A tag right after a backtick
is text. Total: every text gives a result.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.events import CallAnswered, Unparsed
from streams.core.parse.leftover import leave
from streams.core.thoughts import MARKS

_OPENING, _CLOSING = ("|".join(map(re.escape, tags)) for tags in zip(*MARKS, strict=True))
_TAG = re.compile(
    rf"(?<!`)(?:(?P<open>(?:{_OPENING})(?:(?<=<unused94>)thought)?"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b[^<]*<\|message\|>)"
    rf"|(?P<close>{_CLOSING}"
    r"|<\|(?:end|call)\|>(?=\s*<\|start\|>assistant)|(?=<\|channel\|>\s*final\b)))",
    re.IGNORECASE,
)
_TAG_STARTS = "<[◁"  # each tag begins with one of them, which are found much faster than a tag
_HEADER = re.compile(
    r"\s*(?:<\|START_RESPONSE\|>|<\|im_start\|>\s*assistant\b|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>"
    r"|<start_of_turn>\s*model\b|<\|assistant\|>|<\|start\|>\s*assistant\b|<\|channel\|>\s*final\b[^<]*<\|message\|>"
    r"|(?:<s>[^\S\n]*)++(?!.*</s>.*\S)|<bos>|<\|begin_of_text\|>|\[/INST\])\s*",
    re.IGNORECASE,
)
_END = re.compile(
    r"<(?<!`<)(?:\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|eot|end|return|im_start|user|start_header_id"
    r"|END_RESPONSE|END_OF_TURN_TOKEN|end_of_turn)\|>|end_of_turn>|start_of_turn>|eos>|｜end▁of▁sentence｜>|｜User｜>)"
)
_LAST = re.compile(r"\s*+(?:(?:>s/<|\]TSNI/\[)\s*+)++")  # of the text from its end, so that it is searched once
_WHOLE = frozenset(
    {
        "stop",
        "stop_sequence",
        "end_turn",
        "eos",
        "eos_token",
        "complete",
        "completed",
        "end",
        "finished",
        "tool_calls",
        "tool_use",
        "function_call",
    }
)
REFUSED = "refusal"
"""The finish reason of an answer that the endpoint marks as a refusal."""


@dataclass(frozen=True)
class AnswerText:
    """The text of an answer to parse, and the removed parts, in order."""

    text: str
    removed: tuple[Unparsed, ...] = ()


def answer_text(raw: str) -> AnswerText:
    """Remove reasoning, template tokens and byte-order marks from an answer.

    `removed` has the reason `reasoning` for thoughts, and `after_end_mark` for text after an end token.
    """
    removed: list[Unparsed] = []
    text = _without_reasoning(raw.replace("\ufeff", ""), removed)
    start = 0
    while (header := _HEADER.match(text, start)) is not None:
        start = header.end()
    text = text[start:]
    if (end := _END.search(text)) is not None:
        leave(removed, "after_end_mark", _END.sub("", text[end.start() :]))
        text = text[: end.start()]
    ended = "</s>" in text or "[/INST]" in text
    if ended and "<s>" not in text and (last := _LAST.match(text[::-1])) is not None:
        text = text[: len(text) - last.end()]
    return AnswerText(text, tuple(removed))


def read_text(answer: CallAnswered, reading: int) -> tuple[AnswerText, bool]:
    """The text that a version of the parser (`streams.core.parse.answers`) parses, and whether it was truncated."""
    if reading == 1:
        return AnswerText(answer.raw), answer.finish_reason == "length"
    return answer_text(answer.raw), was_cut(answer.finish_reason)


def was_cut(finish_reason: str | None) -> bool:
    """Whether an answer was truncated, by its finish reason.

    Endpoints have many reasons for truncation (`length`, `MAX_TOKENS`, `content_filter`, `model_length`, `error`,
    `SAFETY`, …) and few for completion, so all but those few count as truncated; no reason does not.
    """
    return bool(finish_reason) and str(finish_reason).lower() not in _WHOLE


def _without_reasoning(text: str, removed: list[Unparsed]) -> str:
    """The parts outside thoughts; a tag within a thought only changes the depth."""
    parts: list[str] = []
    at = depth = 0  # `at`: the start of the unprocessed text
    tags = _tags(text)
    if not tags:
        return text
    last_close = max((place for place, tag in enumerate(tags) if tag["close"] is not None), default=-1)
    for place, tag in enumerate(tags):
        if tag["open"] is not None:
            if depth == 0:
                parts.append(text[at : tag.start()])
                at = tag.end()
            depth += 1
            continue
        if depth == 0 and (parts or place != 0):
            continue  # an unopened closing tag after other text is text
        depth = max(0, depth - 1)
        if depth == 0 or place == last_close:
            depth = 0
            leave(removed, "reasoning", text[at : tag.start()])
            at = tag.end()
    if depth:
        leave(removed, "reasoning", text[at:])
    else:
        parts.append(text[at:])
    return "".join(parts)


def _tags(text: str) -> list[re.Match[str]]:
    """The tags of thoughts, in order."""
    tags: list[re.Match[str]] = []
    end = 0
    for start in sorted(at for mark in _TAG_STARTS for at in _places(text, mark)):
        if start >= end and (tag := _TAG.match(text, start)) is not None:
            tags.append(tag)
            end = tag.end()
    return tags


def _places(text: str, character: str) -> Iterator[int]:
    at = text.find(character)
    while at >= 0:
        yield at
        at = text.find(character, at + 1)
