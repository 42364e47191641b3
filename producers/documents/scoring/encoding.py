"""A segment and the instructions for it, as tokens: the instruction is a prompt, the segment the response to it.

Both are in the template that the model answers in (`infra.models.templates`). The segment's tokens are the same after
every prompt, and the token that ends a response is not among them. Without an instruction, the prompt is the template's
with an empty turn of the user, so that the two passes differ by the instruction alone. Without that turn gains separate
right from wrong pairs a little less well (docs/decisions/perplexity.md), and not every template can be written so.

A segment that is longer than the bound is scored on its beginning. Where prompt and segment exceed the model's context,
the prompt loses tokens from its middle, as a row does in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.models.likelihood.encoded import EncodedQuestion
from infra.models.special_tokens import hide, token_ids
from infra.models.templates import Template, prompt_tokens, shortened, texts
from producers.backends.base import Scoring
from schemas.events import Instruction

_LEAST_PROMPT = 4  # the context's share that a segment leaves to its prompt: a quarter


@dataclass(frozen=True)
class EncodedScoring:
    """Token ids.

    segment      those that are scored
    prompts      the distinct ones, the unconditional first
    candidates   each instruction's place among the prompts; None: it is not to be scored
    """

    segment: tuple[int, ...]
    prompts: tuple[tuple[int, ...], ...]
    candidates: tuple[int | None, ...]

    def questions(self, prompts: Sequence[int], tokens: int | None = None) -> list[EncodedQuestion]:
        """Some of the prompts as questions; `tokens`: only so many of the segment."""
        return [EncodedQuestion(self.prompts[place], (self.segment[:tokens],)) for place in prompts]

    def computed(self, prompts: Sequence[int], tokens: int | None = None) -> int:
        """How many tokens these are."""
        return sum(len(self.prompts[place]) + len(self.segment[:tokens]) for place in prompts)

    @property
    def most_computed(self) -> int:
        """How many tokens all prompts are, each with the whole segment: the most that a scoring counts."""
        return self.computed(range(len(self.prompts)))


def encoded(scoring: Scoring, tokenizer: Any, template: Template, *, context: int, max_tokens: int) -> EncodedScoring:
    """The tokens of a scoring; `segment` is empty for a blank one.

    context      the model's, in tokens
    max_tokens   of the segment that are scored
    """
    segment = _segment(scoring.segment, tokenizer, template)[: min(max_tokens, context - context // _LEAST_PROMPT)]
    found: dict[tuple[int, ...], int] = {}

    def place(row: Instruction) -> int:
        prompt = _prompt(row, scoring.segment, tokenizer, template)
        # The last token is predicted only, so it takes no place in the context.
        return found.setdefault(shortened(prompt, context + 1 - len(segment)), len(found))

    place(Instruction(instruction=""))
    candidates = tuple(None if each is None else place(each) for each in scoring.instructions)
    return EncodedScoring(segment, tuple(found), candidates)


def _prompt(row: Instruction, segment: str, tokenizer: Any, template: Template) -> list[int]:
    hidden = Instruction(**{name: hide(tokenizer, getattr(row, name)) for name in ("instruction", "input")})
    prompt, _ = texts(_with_output(hidden, hide(tokenizer, segment)), tokenizer, template)
    return prompt_tokens(tokenizer, prompt, template)


def _segment(segment: str, tokenizer: Any, template: Template) -> tuple[int, ...]:
    """The segment's tokens in a response, without those after it."""
    if not segment.strip():
        return ()
    hidden = hide(tokenizer, segment)
    _, response = texts(_with_output(Instruction(instruction=""), hidden), tokenizer, template)
    for text in (hidden, hidden.strip()):  # some templates strip a response
        if text and (at := response.rfind(text)) >= 0:
            return tuple(token_ids(tokenizer, response[: at + len(text)]))
    return ()


def _with_output(row: Instruction, output: str) -> Instruction:
    return Instruction(instruction=row.instruction, input=row.input, output=output)
