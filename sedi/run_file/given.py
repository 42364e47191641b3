"""What a run file, `--set` or a flag gives: a value with its place, or a mistake with its place."""

from dataclasses import dataclass
from typing import Any

_FROM_FILE = 0


@dataclass(frozen=True)
class Given:
    """A value that was given, where (`mine.toml:12:1`, `--set train.lr`), and where that stands among others."""

    value: Any
    place: str
    order: tuple[int, int, int]

    @property
    def is_of_file(self) -> bool:
        return self.order[0] == _FROM_FILE


@dataclass(frozen=True)
class Mistake:
    """What is wrong, where, and what to do."""

    place: str
    text: str
    order: tuple[int, int, int]
