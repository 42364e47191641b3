"""One request under way: what was asked, what was generated, and whether that is the end of it."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from producers.backends.base import Sampling

_LONGEST_CHARACTER = 4  # tokens that one character of a stop text may take, when each is a byte

TextOf = Callable[[Sequence[int], Sequence[int]], str]
"""The text of generated tokens, as it continues that of the prompt's: `text_of(prompt, generated)`."""


@dataclass(eq=False)
class DecodingRow:
    """A request in tokens.

    begun           what the answer's text begins with: a thought that the prompt has opened
    most            tokens that may be generated
    ends            tokens that end an answer; the one that did counts as generated, and is no text
    seed            where this row's randomness comes from
    finish_reason   None while it goes on
    """

    prompt: Sequence[int]
    begun: str
    most: int
    sampling: Sampling
    stop: Sequence[str]
    ends: Collection[int]
    text_of: TextOf
    seed: str
    generated: list[int] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None

    def take(self, token: int) -> None:
        """Go on by one token."""
        self.generated.append(token)
        if token in self.ends or self._stops():
            self.finish_reason = "stop"
        elif len(self.generated) >= self.most:
            self.finish_reason = "length"

    def seed_here(self) -> int:
        """What the next token's randomness comes from: 63 bits, always the same at the same place of the answer."""
        return random.Random(f"{self.seed}/{len(self.generated)}").getrandbits(63)

    @property
    def text(self) -> str:
        """What was begun and what was generated, up to the first stop text."""
        tokens = self.generated[:-1] if self.generated and self.generated[-1] in self.ends else self.generated
        text = self.text_of(self.prompt, tokens)
        return self.begun + text[: min((at for at in map(text.find, self.stop) if at >= 0), default=len(text))]

    def _stops(self) -> bool:
        """Whether a stop text is complete. Only the last tokens are looked at, those before were when they came."""
        if not self.stop:
            return False
        far = max(map(len, self.stop)) * _LONGEST_CHARACTER + 1
        before, last = self.generated[:-far], self.generated[-far:]
        tail = self.text_of(before or self.prompt, last)
        return any(stop in tail for stop in self.stop)
