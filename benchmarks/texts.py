"""The texts of the benchmarks: real instructions first, then as many synthetic ones as needed.

Alpaca's instructions in order, if available (`$SEDI_DATA`, else `../shared/data`), else synthetic ones with a Zipf
vocabulary. Further texts combine the beginning of one instruction with the middle of another, with every seventh word
from Alpaca's outputs. That keeps lengths and frequencies, lets the vocabulary grow, and is harder than real text,
because more of it is similar.
"""

import gzip
import itertools
import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ALPACA = "alpaca/alpaca_data_00001_26000.json.gz"
_SEED = 20230313
_REPLACED = 1 / 7
_INVENTED = 26_000


@dataclass(frozen=True)
class Source:
    """Real or synthetic texts, and the words for further synthetic ones."""

    name: str
    texts: list[str]
    words: list[str]

    def stream(self) -> Iterator[str]:
        """The texts, then endless synthetic ones; deterministic."""
        yield from self.texts
        rng = random.Random(_SEED)
        while True:
            head, tail = rng.choice(self.texts).split(), rng.choice(self.texts).split()
            head = head[: rng.randint(len(head) // 2, len(head))]
            start = rng.randint(len(tail) // 4, max(len(tail) // 4, 3 * len(tail) // 4))
            spliced = [rng.choice(self.words) if rng.random() < _REPLACED else word for word in head + tail[start:]]
            if len(spliced) >= 3:
                yield " ".join(spliced)

    def first(self, count: int) -> list[str]:
        """The first `count` texts of the stream."""
        return list(itertools.islice(self.stream(), count))


def data_folder() -> Path:
    """The folder of Alpaca's data."""
    return Path(os.environ.get("SEDI_DATA", Path(__file__).parents[2] / "shared" / "data"))


def source() -> Source:
    """Alpaca if available, else synthetic texts; the name tells which."""
    path = data_folder() / _ALPACA
    if not path.exists():
        return _invented()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    words = [word for row in rows for word in re.findall(r"\w+", row["output"])]
    return Source(f"Alpaca's {len(rows)} first instructions, then made", [row["instruction"] for row in rows], words)


def _invented() -> Source:
    rng = random.Random(_SEED)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er")]
    vocabulary = ["".join(rng.choices(syllables, k=1 + rank % 3)) + str(rank // 3000 or "") for rank in range(20_000)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(vocabulary))))
    texts = [
        " ".join(rng.choices(vocabulary, cum_weights=weights, k=max(3, round(rng.lognormvariate(2.2, 0.4)))))
        for _ in range(_INVENTED)
    ]
    words = rng.choices(vocabulary, cum_weights=weights, k=200_000)
    return Source(f"{_INVENTED} invented texts, then made", texts, words)


def long_repetitive(count: int, tokens: int) -> list[str]:
    """Long texts from 60 words: the rarest few of each are in most of the others."""
    rng = random.Random(_SEED)
    words = [f"w{rank}" for rank in range(60)]
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(60)))
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(tokens * 4 // 5, tokens * 6 // 5)))
        for _ in range(count)
    ]


def all_similar(count: int) -> list[str]:
    """Texts that differ in one or two words from one of twenty."""
    rng = random.Random(_SEED)
    originals = [[f"o{original}w{place}" for place in range(12)] for original in range(20)]
    texts = []
    for _ in range(count):
        text = list(rng.choice(originals))
        text[rng.randrange(12)] = f"x{rng.randrange(1000)}"
        texts.append(" ".join(text))
    return texts


def tiny_vocabulary(count: int) -> list[str]:
    """Texts of ten tokens from eight words."""
    rng = random.Random(_SEED)
    return [" ".join(rng.choices("abcdefgh", k=10)) for _ in range(count)]
