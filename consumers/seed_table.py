"""The seed pool as a table: each seed with its score, and all replacements; from a run's fold."""

from collections import Counter

import msgspec

from consumers.copied_fields import fields_of
from consumers.feedback_terms import verdict_counts
from consumers.folds.run_fold import RunFold
from schemas.events import CandidateVerdict, FeedbackOutcome
from schemas.policy import Metric
from streams.core.scores import SeedScore


class SeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A seed in the pool now.

    shown            generations it was shown in
    generated, kept  SeedGen and SeedKept: decided instructions of those generations that the policy counts
    score            kept / generated, None before anything was generated
    since_offset     record of `seed-commands` that put it there, -1 for the run's start
    """

    id: str
    instruction: str
    shown: int
    generated: int
    kept: int
    score: float | None
    since_offset: int


class ReplacementRow(msgspec.Struct, frozen=True, kw_only=True):
    """A replaced seed, the training window and step that caused it, and the new seed.

    value                            the metric's value at the step
    victim_generated, victim_kept    the victim's SeedGen and SeedKept at that time
    as_of_offset                     the last record of `generated` that those numbers reflect
    verdicts                         rows of the chosen batch by the verdict on them as candidates
    """

    commands_offset: int
    timestamp_ms: int
    epoch: int
    window: int
    step: int | None
    metric: Metric
    value: float | None
    victim_id: str
    victim_generated: int
    victim_kept: int
    victim_score: float | None
    as_of_offset: int
    verdicts: dict[str, int]
    seed_id: str
    seed_instruction: str


def seed_rows(fold: RunFold) -> tuple[SeedRow, ...]:
    """The pool in its own order."""
    scores = [(seed, fold.verdicts.scores.get(seed.task.id, SeedScore())) for seed in fold.pool.active]
    return tuple(
        SeedRow(
            id=seed.task.id,
            instruction=seed.task.instruction,
            shown=fold.verdicts.shown[seed.task.id],
            generated=score.generated,
            kept=score.kept,
            score=score.value,
            since_offset=seed.since_offset,
        )
        for seed, score in scores
    )


def replacement_rows(fold: RunFold) -> tuple[ReplacementRow, ...]:
    """All replacements in order."""
    return tuple(
        ReplacementRow(
            **fields_of(ReplacementRow, command, command.event, replacement),
            commands_offset=command.offset,
            victim_score=SeedScore(replacement.victim_generated, replacement.victim_kept).value,
            verdicts=verdict_counts(command.event),
            seed_id=replacement.seed.id,
            seed_instruction=replacement.seed.instruction,
        )
        for command in fold.commands
        for replacement in command.event.replacements
    )


def window_outcomes(fold: RunFold) -> Counter[FeedbackOutcome]:
    """Answered training windows by outcome."""
    return Counter(command.event.outcome for command in fold.commands)


def candidate_verdicts(fold: RunFold) -> Counter[CandidateVerdict]:
    """Rows of all chosen batches by the verdict on them as candidates."""
    return Counter(candidate.verdict for command in fold.commands for candidate in command.event.candidates)


def by_score(rows: tuple[SeedRow, ...]) -> tuple[SeedRow, ...]:
    """Seeds with a score, lowest first; equal ones in the pool's order."""
    return tuple(sorted((row for row in rows if row.score is not None), key=lambda row: row.score or 0.0))
