"""Scores of kept rows: how a judge's answer is read, and what a threshold makes of the scores.

An answer says its score on its first line and why on the others. `read` is strict: a first line that holds anything but
a score of the scale is no score, and neither is one that the answer's cut-off end may have shortened. It is the one
reading there is, so whoever has the raw answer can read it again.

`Judgements` is a fold of `judged`, in the order of the log. It holds some 150 bytes a row. `FirstJudge` is the same for
the run's first judge, and can be asked as of any record of `judged`, so that a decision that says up to which record it
looked can be made again.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import CallAnswered, InstructionJudged, Scale
from streams.core.parse.answer_text import read_text

LANE = "judge"
"""What the name of a lane of the ledger begins with, before a slash, when its calls are a judge's."""

SCALE = Scale(least=0.0, most=5.0, step=0.5)

_FIRST_LINE = re.compile(
    r"(?:score|rating)?\s*[:=]?\s*(\d{1,3}(?:\.\d{1,3})?)\s*(?:/\s*(\d{1,3})|out of (\d{1,3}))?\s*\.?", re.I
)


class ReadScore(NamedTuple):
    """What was read from an answer: None for the score when none could be, and then why."""

    value: float | None
    reason: str


def score_of(answer: CallAnswered, scale: Scale = SCALE, *, reading: int) -> ReadScore:
    """The score in an answer, by a version of the reading (`streams.core.parse.answers`)."""
    seen, cut = read_text(answer, reading)
    return read(seen.text, scale, cut=cut)


def read(raw: str, scale: Scale = SCALE, *, cut: bool = False) -> ReadScore:
    """The score in an answer; `cut` when it was ended by its length."""
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
    """What one judge made of the rows: the one of that name, or, for None, the first on the log.

    judge    its name; None before there is one
    scores   by the row's id; None for a row whose score could not be read
    """

    judge: str | None = None
    scores: dict[str, float | None] = field(default_factory=dict)

    def apply(self, event: InstructionJudged) -> bool:
        """Take a judgement into account. False for another judge's, and for one that stands twice."""
        if self.judge is None:
            self.judge = event.judge.name
        if event.judge.name != self.judge or event.kept_id in self.scores:
            return False
        self.scores[event.kept_id] = event.score
        return True

    def admits(self, id: str, least: float) -> bool | None:
        """Whether a row has at least that score; None while it is not judged. One without a score never has."""
        if id not in self.scores:
            return None
        score = self.scores[id]
        return score is not None and score >= least


@dataclass
class FirstJudge:
    """What the first judge on the log made of the rows.

    offset    last record of `judged` taken into account, also one that says nothing; -1 for none
    """

    offset: int = -1
    _judgements: Judgements = field(default_factory=Judgements)
    _offsets: dict[str, int] = field(default_factory=dict)

    def apply(self, event: InstructionJudged | None, offset: int) -> None:
        """Take the record at `offset` into account; None for one that cannot be read. No effect for an earlier one."""
        if offset <= self.offset:
            return
        self.offset = offset
        if event is not None and self._judgements.apply(event):
            self._offsets[event.kept_id] = offset

    def admits(self, id: str, least: float, as_of: int) -> bool | None:
        """Whether a row had at least that score by the record at `as_of`; None while it was not judged."""
        judged = self._offsets.get(id)
        return None if judged is None or judged > as_of else self._judgements.admits(id, least)
