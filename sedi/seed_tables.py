"""Tables of seeds and their replacements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from consumers.feedback_terms import OUTCOMES, VERDICTS
from sedi.output import clock, table

if TYPE_CHECKING:
    from rich.table import Table

    from consumers.seed_table import ReplacementRow, SeedRow
    from schemas.events import CandidateVerdict, FeedbackOutcome

_TEXT_SHOWN = 60


def seed_table(title: str, rows: Iterable[SeedRow]) -> Table:
    """Seeds with their scores."""
    return table(
        title,
        ("seed", "#shown", "#generated", "#kept", "#score", "since", "instruction"),
        (
            (
                row.id,
                row.shown,
                row.generated,
                row.kept,
                row.score,
                "start" if row.since_offset < 0 else f"command {row.since_offset}",
                row.instruction[:_TEXT_SHOWN],
            )
            for row in rows
        ),
    )


def history_table(title: str, rows: Iterable[ReplacementRow]) -> Table:
    """Replacements in order."""
    return table(
        title,
        ("when", "window", "#step", "metric", "#value", "victim", "#score", "new seed", "instruction"),
        (
            (
                clock(row.timestamp_ms),
                f"{row.epoch}/{row.window}",
                row.step,
                row.metric,
                row.value,
                row.victim_id,
                f"{row.victim_kept}/{row.victim_generated}",
                row.seed_id,
                row.seed_instruction[:_TEXT_SHOWN],
            )
            for row in rows
        ),
    )


def outcome_table(outcomes: Mapping[FeedbackOutcome, int]) -> Table:
    """Training windows by outcome."""
    rows = [(outcome, outcomes[outcome], meaning) for outcome, meaning in OUTCOMES.items() if outcomes.get(outcome)]
    return table("Training windows", ("outcome", "#windows", "meaning"), rows)


def verdict_table(verdicts: Mapping[CandidateVerdict, int]) -> Table:
    """Rows of the chosen batches by verdict."""
    rows = [(verdict, verdicts[verdict], meaning) for verdict, meaning in VERDICTS.items() if verdicts.get(verdict)]
    return table("Rows of the chosen batches", ("verdict", "#rows", "meaning"), rows)
