"""Prompt and response in a tokenizer's chat template.

The prompt is the template's generation prompt, with one exception. Templates of reasoning models end it with an opened
thought (`<think>`), but show past answers without one. An answer trained after such a prompt would be trained as a
thought. There the prompt is what the template writes before a past answer; if that opens a thought too, or past answers
are not shown, the thought is closed. `sedi chat` uses the same prompt.

A model that generates data (`producers.backends.local_model`) may think: it gets the template's own generation prompt,
and its answer is read together with `thought_begun`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from streams.core.thoughts import opened

Message = Mapping[str, str]

_QUESTION, _ANSWER = "\U0010e001", "\U0010e002"  # private-use characters, which no template changes


@dataclass(frozen=True)
class _Frame:
    """What a template writes around texts.

    generated   after the last question, in a generation prompt
    used        what replaces it in our prompts
    after       after an answer; None when the template does not show past answers unchanged
    """

    generated: str
    used: str
    after: str | None


def prompt_of(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The text that the model continues with its answer."""
    prompt: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    frame = _frame(tokenizer, repr(tokenizer.chat_template))
    if frame.used == frame.generated or not prompt.endswith(frame.generated):
        return prompt
    return prompt[: len(prompt) - len(frame.generated)] + frame.used


def exchange(tokenizer: Any, question: str, answer: str) -> tuple[str, str]:
    """Prompt and response of a question and its answer; the response has the token that ends the turn."""
    asked = {"role": "user", "content": question}
    prompt = prompt_of(tokenizer, [asked])
    whole: str = tokenizer.apply_chat_template([asked, {"role": "assistant", "content": answer}], tokenize=False)
    if whole.startswith(prompt):
        return prompt, whole[len(prompt) :].rstrip("\n")
    frame = _frame(tokenizer, repr(tokenizer.chat_template))
    end = frame.after.rstrip("\n") if frame.after and frame.used != frame.generated else ""
    return prompt, answer + (end or tokenizer.eos_token or "")  # a template that shows past answers in another way


def thought_begun(tokenizer: Any, prompt: str) -> str:
    """The part of the template's generation prompt from where it opens a thought; empty when it opens none.

    An answer to such a prompt continues the thought without its opening mark.
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
    """What the template writes after the last question of a generation prompt."""
    asked = {"role": "user", "content": _QUESTION}
    prompt: str = tokenizer.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    return prompt.rpartition(_QUESTION)[2]


@lru_cache(maxsize=8)
def _frame(tokenizer: Any, template: str) -> _Frame:
    """`template` makes a changed template miss the cache."""
    asked, answered = {"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}
    generated = _generated(tokenizer, template)
    whole: str = tokenizer.apply_chat_template([asked, answered], tokenize=False)
    before, shown, after = whole.rpartition(_ANSWER)
    shows = bool(shown) and _QUESTION in before
    between = before.rpartition(_QUESTION)[2] if shows else generated
    marks = opened(generated) or opened(between)
    if marks is None:
        used = generated
    elif opened(between) is None:
        used = between
    else:
        used = f"{between}{'' if between.endswith(chr(10)) else chr(10)}{marks[1]}\n\n"
    return _Frame(generated, used, after if shows else None)
