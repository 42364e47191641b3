"""One request being decoded: its prompt, the generated tokens, and whether it is finished."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from producers.backends.base import Sampling

_LONGEST_CHARACTER = 4  # tokens that one character of a stop text may take, when each is a byte

TextOf = Callable[[Sequence[int], Sequence[int]], str]
"""`text_of(prompt, generated)`: the text of the generated tokens, as a continuation of the prompt's."""


@dataclass(eq=False)
class DecodingRow:
    """A request in tokens.

    opening         of the answer's text: a reasoning block that the prompt opens
    most            tokens that may be generated
    ends            tokens that end an answer; such a token counts as generated, but has no text
    seed            of this row's randomness
    finish_reason   None while it is being decoded
    """

    prompt: Sequence[int]
    opening: str
    most: int
    sampling: Sampling
    stop: Sequence[str]
    ends: Collection[int]
    text_of: TextOf
    seed: str
    generated: list[int] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None

    def take(self, token: int) -> None:
        self.generated.append(token)
        if token in self.ends or self._stops():
            self.finish_reason = "stop"
        elif len(self.generated) >= self.most:
            self.finish_reason = "length"

    def next_seed(self) -> int:
        """The seed of the next token: 63 bits, a function of the row's seed and the place in the answer."""
        return random.Random(f"{self.seed}/{len(self.generated)}").getrandbits(63)

    @property
    def text(self) -> str:
        """The opening and the generated text, up to the first stop text."""
        tokens = self.generated[:-1] if self.generated and self.generated[-1] in self.ends else self.generated
        text = self.text_of(self.prompt, tokens)
        return self.opening + text[: min((at for at in map(text.find, self.stop) if at >= 0), default=len(text))]

    def _stops(self) -> bool:
        """Whether a stop text is complete. Only the last tokens are checked; earlier ones were checked before."""
        if not self.stop:
            return False
        far = max(map(len, self.stop)) * _LONGEST_CHARACTER + 1
        before, last = self.generated[:-far], self.generated[-far:]
        tail = self.text_of(before or self.prompt, last)
        return any(stop in tail for stop in self.stop)
