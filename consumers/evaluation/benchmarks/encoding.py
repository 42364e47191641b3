"""Questions as tokens: the prompt, and each choice after it.

Of a multiple-choice question, prompt and choice are tokenized together, and the choice's tokens are those after as many
as the prompt has alone; spaces at the prompt's end count to the choice. That is how lm-evaluation-harness does it, and
so is the rest: a beginning-of-text token where the tokenizer adds one and the text has none, and what exceeds the
model's context is cut off at the beginning. A held-out row is encoded as for training (`infra.models.templates`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consumers.evaluation.benchmarks.data import AnyQuestion, HeldOutText
from consumers.evaluation.benchmarks.tasks import BenchmarkQuestion
from infra.models.likelihood.encoded import EncodedQuestion
from infra.models.templates import Template, encode, texts
from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class Prompted:
    """A question as a model is asked it: its prompt and choices as text, and its tokens. `cut`: a held-out row that
    lost tokens, since it exceeds the model's context."""

    question: str
    prompt: str
    choices: tuple[str, ...]
    gold: int | None
    tokens: EncodedQuestion
    cut: bool = False


def prompted(
    questions: Sequence[AnyQuestion], tokenizer: Any, template: Template, max_length: int
) -> tuple[Prompted, ...]:
    """The questions in their order. Raises ConfigurationError for a choice without tokens."""
    multiple = [question for question in questions if isinstance(question, BenchmarkQuestion)]
    pairs = [(each.prompt, tuple(f" {choice}" for choice in each.choices)) for each in multiple]
    tokens = iter(encode_choices(pairs, tokenizer))
    return tuple(
        _held_out(each, tokenizer, template, max_length)
        if isinstance(each, HeldOutText)
        else Prompted(each.question, each.prompt, each.choices, each.source.gold, next(tokens))
        for each in questions
    )


def encode_choices(pairs: Sequence[tuple[str, tuple[str, ...]]], tokenizer: Any) -> tuple[EncodedQuestion, ...]:
    """The tokens of prompts, none of them empty, and of their continuations."""
    bare = [prompt.rstrip() for prompt, _ in pairs]
    wholes = [prompt + continuation for prompt, continuations in pairs for continuation in continuations]
    prefixes, rest = _token_ids(tokenizer, bare), iter(_token_ids(tokenizer, wholes))
    found = []
    for text, prefix, (_, continuations) in zip(bare, prefixes, pairs, strict=True):
        tokens = tuple(tuple(next(rest)[len(prefix) :]) for _ in continuations)
        if not prefix or not all(tokens):
            raise ConfigurationError(
                f"The model's tokenizer makes no token of a choice, or none of the prompt that begins with "
                f"{text[:60]!r}. Remove the question, or take another model."
            )
        found.append(EncodedQuestion(tuple(prefix), tokens))
    return tuple(found)


def _held_out(text: HeldOutText, tokenizer: Any, template: Template, max_length: int) -> Prompted:
    prompt, _ = texts(text.row, tokenizer, template)
    row = encode(text.row, tokenizer, template, max_length)
    tokens = EncodedQuestion(row.tokens[: row.prompt], (row.tokens[row.prompt :],))
    return Prompted(prompt, prompt, (text.row.output,), None, tokens, row.truncated)


def _token_ids(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts; a text that begins with the beginning-of-text token gets no second one."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    begin = None if first is None else tokenizer.decode(first)
    found: list[list[int]] = [[] for _ in prompts]
    for begun in (False, True):
        places = [place for place, text in enumerate(prompts) if bool(begin and text.startswith(begin)) is begun]
        if places:
            extra = {"add_special_tokens": False} if begun else {}
            encoded = tokenizer([prompts[place] for place in places], verbose=False, **extra)["input_ids"]
            for place, ids in zip(places, encoded, strict=True):
                found[place] = list(ids)
    return found
