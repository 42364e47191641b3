"""Aggregates of an evaluation that an audit computes again, from verdicts that it decided again.

The folds read `RedecidedSource`, so a verdict that was altered on the log does not count here; what is recorded instead
is among the divergences.
"""

from dataclasses import dataclass

import msgspec

from consumers.folds.deduplicate import Deduplicator, records
from consumers.replay.redecided import RedecidedSource
from infra.log.source import Source
from schemas.evaluation import QuestionMeasured


class RecomputedAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Right answers of a model, by the likeliest choice and by the likeliest per character.

    benchmark   `Benchmark.key`
    questions   measured, that have a right choice
    """

    model: str
    benchmark: str
    questions: int
    right: int
    right_per_character: int


class RecomputedEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The aggregates, in the order of the log."""

    accuracies: tuple[RecomputedAccuracy, ...]


@dataclass
class _Counts:
    questions: int = 0
    right: int = 0
    right_per_character: int = 0


def recomputed(source: Source) -> RecomputedEvaluation:
    """The aggregates of everything on the log."""
    again = RedecidedSource(source)
    return RecomputedEvaluation(accuracies=_accuracies(again))


def _accuracies(source: Source) -> tuple[RecomputedAccuracy, ...]:
    deduplicator, found = Deduplicator(), dict[tuple[str, str], _Counts]()
    with source.open(["measured"]) as reading:
        for record in records(reading, "measured"):
            event = record.event
            if not isinstance(event, QuestionMeasured) or event.gold is None:
                continue
            if deduplicator.first(event, record.id):
                counts = found.setdefault((event.model.key, event.benchmark.key), _Counts())
                counts.questions += 1
                counts.right += event.chosen == event.gold
                counts.right_per_character += event.chosen_per_character == event.gold
    return tuple(
        RecomputedAccuracy(
            model=model,
            benchmark=benchmark,
            questions=counts.questions,
            right=counts.right,
            right_per_character=counts.right_per_character,
        )
        for (model, benchmark), counts in found.items()
    )
