"""A scoring as the prompts of one completion request: the segment after each instruction, all in one list.

With a tokenizer the prompts are token ids, so that the segment's tokens are known (`encoding`). Without one they are
texts in the template `alpaca`, and one more prompt stands first: the unconditional one without the segment. The
segment's tokens are those that it does not have (`logprobs`).
"""

from dataclasses import dataclass
from typing import Any

from infra.models.templates import Template, alpaca_prompt
from producers.backends.base import RequestRefused, Scoring
from producers.documents.scoring.encoding import encoded
from schemas.events import Instruction

_ENDLESS = 2**31  # the endpoint knows its context, and refuses a prompt that exceeds it


@dataclass(frozen=True)
class ScoringPrompts:
    """What is sent.

    bare         the unconditional prompt without the segment; None when the prompts are tokens
    prompts      with the segment, the unconditional first
    candidates   each instruction's place among the prompts; None: it is not to be scored
    tokens       of the segment; None: to be found
    """

    bare: str | None
    prompts: tuple[str, ...] | tuple[tuple[int, ...], ...]
    candidates: tuple[int | None, ...]
    tokens: int | None

    @property
    def sent(self) -> list[str] | list[list[int]]:
        """The request's `prompt`."""
        if self.bare is not None:
            return [self.bare, *(each for each in self.prompts if isinstance(each, str))]
        return [list(each) for each in self.prompts if not isinstance(each, str)]


def scoring_prompts(scoring: Scoring, template: Template, tokenizer: Any | None, *, max_tokens: int) -> ScoringPrompts:
    """The prompts of a scoring. Raises RequestRefused for a blank segment."""
    if not scoring.segment.strip():
        raise RequestRefused("The segment is blank, so it has no tokens to score.")
    if tokenizer is not None:
        tokens = encoded(scoring, tokenizer, template, context=_ENDLESS, max_tokens=max_tokens)
        whole = tuple((*prompt, *tokens.segment) for prompt in tokens.prompts)
        return ScoringPrompts(None, whole, tokens.candidates, len(tokens.segment))
    bare = alpaca_prompt(Instruction(instruction=""))
    found = {bare: 0}
    candidates = tuple(
        None if each is None else found.setdefault(alpaca_prompt(each), len(found)) for each in scoring.instructions
    )
    return ScoringPrompts(bare, tuple(prompt + scoring.segment for prompt in found), candidates, None)
