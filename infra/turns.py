"""Turns in a tokenizer's chat template: the text that asks for an answer, and the answer as the model learns it.

The prompt is the template's own generation prompt, with one exception. Templates of reasoning models end it with an
opened thought (`<think>`), for the model to think first, but show past answers without one. An answer trained after
such a prompt would be trained as a thought. There the prompt is what the template writes before an answer that it
shows; where that opens a thought too, or answers are not shown, the thought is closed. `sedi chat` asks with the same
prompt.

A model that generates (`producers.backends.local_model`) may think: it is asked with the template's own generation
prompt, and its answer is to be read behind `thought_begun`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from streams.core.thoughts import opened

Message = Mapping[str, str]

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


def thought_begun(tokenizer: Any, prompt: str) -> str:
    """The end of the template's own generation prompt from where it opens a thought; empty when it opens none.

    An answer to such a prompt goes on inside the thought, and does not say so itself.
    """
    if opened(prompt) is None:
        return ""
    generated = _generated(tokenizer, repr(tokenizer.chat_template))
    marks = opened(generated)
    if marks is None or not prompt.endswith(generated):
        return ""
    return generated[generated.rfind(marks[0]) :]


@lru_cache(maxsize=8)
def _generated(tokenizer: Any, template: str) -> str:
    """What a template writes after the last question for the model to answer."""
    asked = {"role": "user", "content": _ASKED}
    prompt: str = tokenizer.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    return prompt.rpartition(_ASKED)[2]


@lru_cache(maxsize=8)
def _frame(tokenizer: Any, template: str) -> _Frame:
    """`template` is what the frame depends on besides the tokenizer."""
    asked, answered = {"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWERED}
    generated = _generated(tokenizer, template)
    whole: str = tokenizer.apply_chat_template([asked, answered], tokenize=False)
    before, shown, after = whole.rpartition(_ANSWERED)
    shows = bool(shown) and _ASKED in before
    between = before.rpartition(_ASKED)[2] if shows else generated
    marks = opened(generated) or opened(between)
    if marks is None:
        used = generated
    elif opened(between) is None:
        used = between
    else:
        used = f"{between}{'' if between.endswith(chr(10)) else chr(10)}{marks[1]}\n\n"
    return _Frame(generated, used, after if shows else None)
