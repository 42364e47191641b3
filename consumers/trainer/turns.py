"""Turns in a tokenizer's chat template: the text that asks for an answer, and the answer as the model learns it.

The prompt is the template's own generation prompt, with one exception. Templates of reasoning models end it with an
opened thought (`<think>`), for the model to think first, but show past answers without one. An answer trained after
such a prompt would be trained as a thought. There the prompt is what the template writes before an answer that it
shows; where that opens a thought too, or answers are not shown, the thought is closed. `sedi chat` asks with the same
prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Message = Mapping[str, str]

_THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
)
_ASKED, _ANSWERED = "\U0010e001", "\U0010e002"  # private characters, which no template changes


@dataclass(frozen=True)
class _Frame:
    """What a template writes around texts.

    generated   after the last question, in a generation prompt
    used        what we have in its place
    after       after an answer; None when the template does not show answers as they are
    """

    generated: str
    used: str
    after: str | None


def prompt_of(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The text after which the model is to answer."""
    prompt: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    frame = _frame(tokenizer, repr(tokenizer.chat_template))
    if frame.used == frame.generated or not prompt.endswith(frame.generated):
        return prompt
    return prompt[: len(prompt) - len(frame.generated)] + frame.used


def exchange(tokenizer: Any, asked: str, answered: str) -> tuple[str, str]:
    """Prompt and response of one question and its answer, with the mark that ends the turn."""
    question, answer = {"role": "user", "content": asked}, {"role": "assistant", "content": answered}
    prompt = prompt_of(tokenizer, [question])
    whole: str = tokenizer.apply_chat_template([question, answer], tokenize=False)
    if whole.startswith(prompt):
        return prompt, whole[len(prompt) :].rstrip("\n")
    frame = _frame(tokenizer, repr(tokenizer.chat_template))
    end = frame.after.rstrip("\n") if frame.after and frame.used != frame.generated else ""
    return prompt, answered + (end or tokenizer.eos_token or "")  # a template that shows past answers in another way


@lru_cache(maxsize=8)
def _frame(tokenizer: Any, template: str) -> _Frame:
    """`template` is what the frame depends on besides the tokenizer."""
    asked, answered = {"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWERED}
    prompt: str = tokenizer.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    whole: str = tokenizer.apply_chat_template([asked, answered], tokenize=False)
    generated = prompt.rpartition(_ASKED)[2]
    before, shown, after = whole.rpartition(_ANSWERED)
    shows = bool(shown) and _ASKED in before
    between = before.rpartition(_ASKED)[2] if shows else generated
    opened = _opened(generated) or _opened(between)
    if opened is None:
        used = generated
    elif _opened(between) is None:
        used = between
    else:
        used = f"{between}{'' if between.endswith(chr(10)) else chr(10)}{opened[1]}\n\n"
    return _Frame(generated, used, after if shows else None)


def _opened(text: str) -> tuple[str, str] | None:
    """The marks of a thought that the text leaves open."""
    return next((marks for marks in _THOUGHTS if text.rfind(marks[0]) > text.rfind(marks[1])), None)
