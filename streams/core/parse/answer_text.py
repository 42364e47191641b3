"""What of an LLM's answer is the answer: without the model's reasoning, end marks and byte-order marks.

Every reader of answers begins here (`streams.core.parse.answers`, `streams.core.judging`), so that a draft inside a
thought becomes no row and no score. The log keeps the answer as it came; what is cut off here is told as `Unparsed`.

Reasoning is what stands between a pair of the tags below; before a closing tag that nothing opened, because some chat
templates open the thought in the prompt; and after an opening tag that nothing closes, because the answer ended in it.
A tag right after a backtick is text: somebody writes about it. Everything is pure and total: any text gives a result.
"""

import re
from dataclasses import dataclass

from schemas.events import CallAnswered, Unparsed

_NAMES = r"think|thinking|thought|thoughts|reasoning|seed:think|scratchpad"
_TAG = re.compile(
    rf"(?<!`)(?:(?P<open><(?:{_NAMES})>|\[THINK\]|◁think▷|<unused94>(?:thought)?|<\|START_THINKING\|>"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b[^<]*<\|message\|>)"
    rf"|(?P<close></(?:{_NAMES})>|\[/THINK\]|◁/think▷|<unused95>|<\|END_THINKING\|>"
    r"|<\|(?:end|call)\|>(?=\s*<\|start\|>assistant)|(?=<\|channel\|>\s*final\b)))",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\A\s*(?:<\|START_RESPONSE\|>|<\|im_start\|>\s*assistant\b|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>"
    r"|<start_of_turn>\s*model\b|<\|assistant\|>|<\|start\|>\s*assistant\b|<\|channel\|>\s*final\b[^<]*<\|message\|>"
    r"|<s>(?!.*</s>.*\S)|<bos>|<\|begin_of_text\|>|\[/INST\])\s*",
    re.IGNORECASE,
)
_END = re.compile(
    r"(?<!`)(?:<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|eot|end|return|im_start|user|start_header_id|END_RESPONSE"
    r"|END_OF_TURN_TOKEN|end_of_turn)\|>|<end_of_turn>|<start_of_turn>|<eos>|<｜end▁of▁sentence｜>|<｜User｜>)"
)
_LAST = re.compile(r"(?:\s*(?:</s>|\[/INST\]))+\s*\Z")
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
"""The reason to end of an answer that an endpoint says is a refusal."""


@dataclass(frozen=True)
class AnswerText:
    """What of an answer is to be read, and what was cut off, in its order."""

    text: str
    removed: tuple[Unparsed, ...] = ()


def answer_text(raw: str) -> AnswerText:
    """Cut reasoning, template marks and byte-order marks off an answer.

    `removed` has `reasoning` for thoughts, and `after_end_mark` for what a model went on with after it had ended.
    """
    removed: list[Unparsed] = []
    text = _without_reasoning(raw.replace("\ufeff", ""), removed)
    while (headed := _HEADER.sub("", text)) != text:
        text = headed
    if (end := _END.search(text)) is not None:
        _keep(removed, "after_end_mark", _END.sub("", text[end.start() :]))
        text = text[: end.start()]
    text = text if "<s>" in text else _LAST.sub("", text)
    return AnswerText(text, tuple(removed))


def read_text(answer: CallAnswered, reading: int) -> tuple[AnswerText, bool]:
    """What a version of the reading (`streams.core.parse.answers`) reads of an answer, and whether it was cut."""
    if reading == 1:
        return AnswerText(answer.raw), answer.finish_reason == "length"
    return answer_text(answer.raw), was_cut(answer.finish_reason)


def was_cut(finish_reason: str | None) -> bool:
    """Whether an answer ended before its model had ended it.

    Endpoints have many words for it (`length`, `MAX_TOKENS`, `content_filter`, `model_length`, `error`, `SAFETY`, …)
    and few for the contrary, so all words count as cut but those few; no word at all does not.
    """
    return bool(finish_reason) and str(finish_reason).lower() not in _WHOLE


def _without_reasoning(text: str, removed: list[Unparsed]) -> str:
    """The parts outside of thoughts; a tag within a thought changes its depth only."""
    parts: list[str] = []
    at = depth = 0  # where what is not decided on begins
    tags = list(_TAG.finditer(text))
    last_close = max((place for place, tag in enumerate(tags) if tag["close"] is not None), default=-1)
    for place, tag in enumerate(tags):
        if tag["open"] is not None:
            if depth == 0:
                parts.append(text[at : tag.start()])
                at = tag.end()
            depth += 1
            continue
        if depth == 0 and (parts or place != 0):
            continue  # a closing tag of nothing, after what was read already: text
        depth = max(0, depth - 1)
        if depth == 0 or place == last_close:
            depth = 0
            _keep(removed, "reasoning", text[at : tag.start()])
            at = tag.end()
    if depth:
        _keep(removed, "reasoning", text[at:])
    else:
        parts.append(text[at:])
    return "".join(parts)


def _keep(removed: list[Unparsed], reason: str, text: str) -> None:
    if text.strip():
        removed.append(Unparsed(reason=reason, text=text.strip()))
