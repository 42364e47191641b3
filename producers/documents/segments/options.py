"""How documents are cut, and how the command line writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import cast

from schemas.errors import ConfigurationError
from schemas.segments import ALL_STRATEGIES, Strategy

VERSION = 1
"""Of the cutting: a change that cuts other segments from the same document is another version."""

_EXAMPLE = "write shares as random=1,salient=1,structural=1"
_MOST_WORDS = 100_000


@dataclass(frozen=True)
class CutOptions:
    """How documents are cut into segments.

    shares         of a document's segments, by strategy, to each other: 1 and 3 are a quarter and three quarters.
                   See `cut` for a strategy that finds nothing more
    min_words,
    max_words      of a segment (`count_words`), both inclusive
    per_document   at most so many segments of a document; None: as many as there are
    overlap        segments of different strategies may share text; those of one strategy never do

    Raises ConfigurationError for values out of range.
    """

    shares: Mapping[Strategy, float]
    min_words: int = 15
    max_words: int = 120
    per_document: int | None = None
    overlap: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.shares if name not in ALL_STRATEGIES]
        if unknown:
            raise ConfigurationError(f"there is no strategy {unknown[0]!r}: choose among {', '.join(ALL_STRATEGIES)}")
        wrong = [f"{name}={share:g}" for name, share in self.shares.items() if not 0 <= share < float("inf")]
        if wrong:
            raise ConfigurationError(f"the share {wrong[0]} is not a number from 0: {_EXAMPLE}")
        if not any(self.shares.values()):
            raise ConfigurationError(f"no strategy has a share above 0: {_EXAMPLE}")
        if not 1 <= self.min_words <= self.max_words <= _MOST_WORDS:
            raise ConfigurationError(
                f"segments of {self.min_words} to {self.max_words} words cannot be cut: "
                f"write two numbers from 1 to {_MOST_WORDS}, the smaller first, as in 15-120"
            )
        if self.per_document is not None and self.per_document < 1:
            raise ConfigurationError(f"{self.per_document} segments of a document is too few: write 1 or more")

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """What decides which segments there are, as an event records it; the splitter of sentences is part of it."""
        return {
            "strategies": ",".join(f"{name}={self.shares[name]:g}" for name in ALL_STRATEGIES if self.shares.get(name)),
            "segment_words": f"{self.min_words}-{self.max_words}",
            "per_document": self.per_document,
            "overlap": self.overlap,
            "segments_version": VERSION,
            "sentences": _splitter(),
        }


def read_shares(text: str) -> dict[Strategy, float]:
    """The shares that `random=1,salient=2` names; a name alone has the share 1. Raises ConfigurationError."""
    shares: dict[Strategy, float] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if name in shares:
            raise ConfigurationError(f"the strategy {name!r} has two shares in {text!r}: {_EXAMPLE}")
        try:
            shares[cast(Strategy, name)] = float(number) if equals else 1.0
        except ValueError:
            raise ConfigurationError(f"the share {part!r} is not a number: {_EXAMPLE}") from None
    CutOptions(shares)
    return shares


def read_words(text: str) -> tuple[int, int]:
    """The bounds that `15-120` names. Raises ConfigurationError."""
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*-\s*([0-9]{1,9})\s*", text)
    if not found:
        raise ConfigurationError(f"{text!r} names no lengths: write the fewest and the most words, as in 15-120")
    fewest, most = int(found[1]), int(found[2])
    CutOptions({"random": 1}, fewest, most)
    return fewest, most


@cache
def _splitter() -> str:
    return f"nupunkt {version('nupunkt')}"
