"""The choice among the candidates for a segment.

At most one candidate of a segment is kept: of those that fit, the one under which the segment has the lowest
perplexity; of equal ones the first. A candidate fits if its place and its segment's strategy are in the policy, it
breaks no rule, is no copy, and was scored. The winner must also make its segment likelier by `gain_at_least`, and be
similar to nothing that is kept; the filter checks that last, and if it is, no other candidate takes its place.

Perplexities of one segment are compared as log-likelihoods, whose order is the same: they have the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.events import Instruction
from schemas.policy import Policy
from schemas.segments import Segment, SegmentScores
from streams.core.documents.copies import candidate_text, is_copy
from streams.core.rules import unfit

STRATEGY_OFF, OVER_CANDIDATES, COPIES_SEGMENT = "strategy_off", "over_candidates", "copies_segment"
NOT_SCORED, LOW_GAIN = "not_scored", "low_gain"
HIGHER_PERPLEXITY = "higher_perplexity"
"""The reason of those that fit and lose; their rejection names the winner."""

CHOICE_REASONS = frozenset((STRATEGY_OFF, OVER_CANDIDATES, COPIES_SEGMENT, NOT_SCORED, HIGHER_PERPLEXITY, LOW_GAIN))
"""Reasons that only candidates for a segment are rejected for; some depend on the other candidates."""


class ScoredCandidates(Protocol):
    """Candidates for one segment: a generation on the log, or its answers as they were parsed.

    cut   places of the instructions whose answer was cut off
    """

    @property
    def instructions(self) -> tuple[Instruction, ...]: ...

    @property
    def cut(self) -> tuple[int, ...]: ...

    @property
    def scores(self) -> SegmentScores | None: ...


@dataclass(frozen=True)
class Choice:
    """What is decided about the candidates of a segment before they are compared with the kept rows.

    reasons   why each is rejected, [instructions]; None for the winner, if it gains enough
    winner    place of the candidate with the lowest perplexity of those that fit; None: none fits
    """

    reasons: tuple[str | None, ...]
    winner: int | None


def choose(asked: ScoredCandidates, segment: Segment, policy: Policy, tokens: Sequence[Sequence[str]]) -> Choice:
    """The choice among a generation's candidates for `segment`.

    `tokens` are those of each instruction, by the policy's tokenizer.
    """
    reasons = [_reason(asked, segment, policy, tokens[place], place) for place in range(len(asked.instructions))]
    scores = asked.scores
    fitting = [place for place, reason in enumerate(reasons) if reason is None]
    if scores is None or not fitting:
        return Choice(tuple(reasons), None)
    winner = max(fitting, key=lambda place: (_loglikelihood(scores, place), -place))
    gain = scores.gain(winner)
    for place in fitting:
        reasons[place] = HIGHER_PERPLEXITY
    low = policy.gain_at_least is not None and (gain is None or gain < policy.gain_at_least)
    reasons[winner] = LOW_GAIN if low else None
    return Choice(tuple(reasons), winner)


def _reason(asked: ScoredCandidates, segment: Segment, policy: Policy, tokens: Sequence[str], place: int) -> str | None:
    """Why a candidate does not fit; None if it does."""
    task = asked.instructions[place]
    if segment.strategy not in policy.strategies:
        return STRATEGY_OFF
    if policy.candidates is not None and place >= policy.candidates:
        return OVER_CANDIDATES
    reason = unfit(task, tokens, policy, cut=place in asked.cut)
    if reason is not None:
        return reason
    if is_copy(candidate_text(task), segment.text, policy):
        return COPIES_SEGMENT
    scored = asked.scores is not None and asked.scores.gain(place) is not None
    return None if scored else NOT_SCORED


def _loglikelihood(scores: SegmentScores, place: int) -> float:
    found = scores.candidates[place]
    assert found is not None
    return found
