"""The load model's instructions: a finite pool of ideas, frequent and rare, each with a few wordings.

`Pool.draw` draws an idea from a Zipf-Mandelbrot distribution over `ideas` numbers: p(k) ∝ 1 / (k + flat)^exponent. So
duplicates become more likely with the number of draws, as with a real model, but without any state. Two wordings of an
idea differ in their verb and one adjective, about 0.8 in ROUGE-L F: a near-duplicate, which a filter with threshold 0.7
rejects and one with 0.85 keeps.

Everything depends only on the numbers drawn. Only `random.Random.random` is used, whose values Python guarantees.
"""

import random
from dataclasses import dataclass
from functools import lru_cache

from producers.backends.load_vocabulary import FORMS, KINDS, OWNERS, PLACES, QUALITIES, THINGS

_SPREAD = 0.6  # exponent of the words' frequencies


@dataclass(frozen=True)
class Pool:
    """The number of ideas, how uneven they are (`exponent` is not 1), and the wordings of each.

    The defaults are fitted to the generated instructions per 10,000 kept of a real run (docs/decisions/load-model.md).
    """

    ideas: int = 45_000
    exponent: float = 0.8
    flat: float = 100.0
    wordings: int = 2

    def draw(self, draws: random.Random) -> tuple[int, int]:
        """An idea and one of its wordings."""
        a = 1.0 - self.exponent
        low, high = self.flat**a, (self.ideas + self.flat) ** a
        idea = (low + draws.random() * (high - low)) ** (1.0 / a) - self.flat
        # Each wording is half as frequent as the one before.
        wording = 0
        while wording < self.wordings - 1 and draws.random() < 0.5:
            wording += 1
        return min(int(idea), self.ideas - 1), wording


@lru_cache(maxsize=65_536)
def text_of(idea: int, wording: int) -> str:
    """The instruction of a wording of an idea."""
    draws = random.Random(idea)
    verbs, form = FORMS[_zipf(draws, len(FORMS))]
    kind, quality, thing, owner, place = (
        _zipf(draws, len(words)) for words in (KINDS, QUALITIES, THINGS, OWNERS, PLACES)
    )
    described = QUALITIES[(quality + 7 * wording) % len(QUALITIES)]
    article = "an" if described[0] in "aeiou" else "a"
    opening = form.format(verb=verbs[wording % len(verbs)], kind=KINDS[kind])
    end = "?" if opening.startswith(("What", "How")) else "."
    return " ".join(f"{opening} {article} {described} {THINGS[thing]} {OWNERS[owner]} {PLACES[place]}".split()) + end


def _zipf(draws: random.Random, size: int) -> int:
    """An index below `size`, low ones more often."""
    a = 1.0 - _SPREAD
    return min(int((1.0 + draws.random() * ((size + 1.0) ** a - 1.0)) ** (1.0 / a)) - 1, size - 1)
