"""Previews on the ledger: calls of a run that are made before one decides to pay for it.

A preview's generations are on no other topic than `calls`. Their lanes are named by what is asked, so that a second
preview that asks the same of the same model finds the answers.
"""

from collections.abc import Sequence

from streams.core.evaluation.lanes import digest_of

LANE = "preview"
"""The part of a ledger lane's name before the slash when its calls are a preview's."""


def preview_lane(asked: Sequence[str]) -> str:
    """The lane of a preview. `asked`: what identifies its requests, such as style, parameters and model."""
    return f"{LANE}/{digest_of(asked)}"


def is_preview(lane: str) -> bool:
    """Whether the calls of a lane are a preview's."""
    return lane.startswith(f"{LANE}/")
