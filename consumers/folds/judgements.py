"""Judges' scores of a run's kept rows, counted; also how many rows each score would withhold as a threshold."""

from collections import Counter
from collections.abc import Collection

import msgspec

from consumers.folds.run_fold import RunFold
from infra.log.source import Source
from schemas.errors import ConfigurationError, RunError
from schemas.events import InstructionJudged
from streams.core.judging import Judgements


class ScoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """A score and how many rows have it; `withheld` is the share of judged rows below it or without a score."""

    score: float
    rows: int
    withheld: float


class JudgementCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One judge's work.

    judged       rows it has judged, those without a score among them
    unreadable   rows without a score
    unjudged     kept rows that it has not judged, without those whose answer is not used
    mean         of the scores; None without one
    scores       ascending
    """

    judge: str
    judged: int
    unreadable: int
    unjudged: int
    mean: float | None
    scores: tuple[ScoreRow, ...]


def judgement_counts(fold: RunFold) -> tuple[JudgementCounts, ...]:
    """One for each judge, in the order of their first judgements."""
    rows = [id for id in fold.verdicts.kept if fold.answered.get(id) is None]
    return tuple(_counts(found, rows) for found in fold.judged.values())


def _counts(found: Judgements, kept: Collection[str]) -> JudgementCounts:
    counted = Counter(score for score in found.scores.values() if score is not None)
    total, below = len(found.scores), len(found.scores) - counted.total()
    unreadable = below
    rows = []
    for score, number in sorted(counted.items()):
        rows.append(ScoreRow(score=score, rows=number, withheld=below / total))
        below += number
    return JudgementCounts(
        judge=found.judge or "",
        judged=total,
        unreadable=unreadable,
        unjudged=sum(1 for id in kept if id not in found.scores),
        mean=sum(score * number for score, number in counted.items()) / counted.total() if counted else None,
        scores=tuple(rows),
    )


def judgements(source: Source, judge: str | None, through: int | None = None) -> tuple[Judgements, int]:
    """A judge's judgements, and the offset of `judged` after the last record that was read.

    judge     its name; None for the only one
    through   the last offset of `judged` to read; None for the end
    Raises RunError when the judge has none, ConfigurationError when there are several judges and none is named.
    """
    with source.open(["judged"]) as reading:
        end = reading.ends()["judged", 0]
        if through is not None and through >= end:
            raise RunError(
                f"{source.name} has no offset {through} of judged; the last is {end - 1}. Give a smaller one."
            )
        end = end if through is None else through + 1
        found: dict[str, Judgements] = {}
        for record in reading.rest():
            if record.offset < end and isinstance(event := record.event, InstructionJudged):
                found.setdefault(event.judge.name, Judgements()).apply(event)
    if not found or (judge is not None and judge not in found):
        named = "No judge" if judge is None else f"No judge called {judge!r}"
        known = f" There is {', '.join(sorted(found))}." if found else ""
        raise RunError(f"{named} has judged rows of {source.name}.{known} Judge them: `sedi judge --run {source.run}`.")
    if judge is None and len(found) > 1:
        raise ConfigurationError(
            f"Rows of {source.name} have several judges: {', '.join(sorted(found))}. Choose one with --judge."
        )
    return found[judge or next(iter(found))], end
