"""Scores of kept rows: parsing a judge's answer, and comparing scores with a threshold.

The first line of an answer is the score, the rest the reason. `read` is strict: a first line with anything but a score
on the scale has no score, nor has one that truncation may have shortened. It is pure, so the raw answer can be read
again.

`Judgements` is a fold of `judged` in log order; it takes some 150 bytes per row. `FirstJudge` is the same for the run's
first judge, and can be queried as of any record of `judged`, so that a decision can be reproduced.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import CallAnswered, InstructionJudged, Scale
from streams.core.parse.answer_text import read_text

LANE = "judge"
"""The part of a ledger lane's name before the slash when its calls are a judge's."""

SCALE = Scale(least=0.0, most=5.0, step=0.5)

_FIRST_LINE = re.compile(
    r"(?:score|rating)?\s*[:=]?\s*(\d{1,3}(?:\.\d{1,3})?)\s*(?:/\s*(\d{1,3})|out of (\d{1,3}))?\s*\.?", re.I
)


class ReadScore(NamedTuple):
    """A parsed answer: the score and its reason, or None and why there is no score."""

    value: float | None
    reason: str


def score_of(answer: CallAnswered, scale: Scale = SCALE, *, reading: int) -> ReadScore:
    """The score in an answer, with a version of the parser (`streams.core.parse.answers`)."""
    seen, cut = read_text(answer, reading)
    return read(seen.text, scale, cut=cut)


def read(raw: str, scale: Scale = SCALE, *, cut: bool = False) -> ReadScore:
    """The score in an answer; `cut`: it was truncated."""
    first, newline, rest = raw.strip().partition("\n")
    if not first:
        return ReadScore(None, "the answer is empty")
    found = _FIRST_LINE.fullmatch(first.strip())
    if found is None:
        return ReadScore(None, "the first line of the answer is not a score")
    if cut and not newline:
        return ReadScore(None, "the answer was cut off in its first line")
    of = found[2] or found[3]
    value = float(found[1])
    steps = (value - scale.least) / scale.step
    if (of is not None and float(of) != scale.most) or not scale.least <= value <= scale.most or steps % 1:
        return ReadScore(None, f"{first.strip()!r} is not on the scale of {scale.least:g} to {scale.most:g}")
    return ReadScore(value, rest.strip())


@dataclass
class Judgements:
    """The scores of one judge: the one with this name, or, for None, the first on the log.

    judge    its name; None before its first judgement
    scores   by row id; None for a row whose score could not be read
    """

    judge: str | None = None
    scores: dict[str, float | None] = field(default_factory=dict)

    def apply(self, event: InstructionJudged) -> bool:
        """Apply a judgement. False for another judge's and for a duplicate."""
        if self.judge is None:
            self.judge = event.judge.name
        if event.judge.name != self.judge or event.kept_id in self.scores:
            return False
        self.scores[event.kept_id] = event.score
        return True

    def admits(self, id: str, least: float) -> bool | None:
        """Whether a row has at least this score; None while it is not judged. False for one without a score."""
        if id not in self.scores:
            return None
        score = self.scores[id]
        return score is not None and score >= least


@dataclass
class FirstJudge:
    """The scores of the first judge on the log.

    offset    last applied record of `judged`, also an unreadable one; -1 for none
    """

    offset: int = -1
    _judgements: Judgements = field(default_factory=Judgements)
    _offsets: dict[str, int] = field(default_factory=dict)

    def apply(self, event: InstructionJudged | None, offset: int) -> None:
        """Apply the record at `offset`; None for an unreadable one. An earlier offset has no effect."""
        if offset <= self.offset:
            return
        self.offset = offset
        if event is not None and self._judgements.apply(event):
            self._offsets[event.kept_id] = offset

    def admits(self, id: str, least: float, as_of: int) -> bool | None:
        """Whether a row had at least this score by the record at `as_of`; None while it was not judged."""
        judged = self._offsets.get(id)
        return None if judged is None or judged > as_of else self._judgements.admits(id, least)
