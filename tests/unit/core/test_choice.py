"""Of the candidates for a segment the filter keeps at most one: the one with the lowest perplexity that fits."""

from collections.abc import Sequence

import msgspec
import pytest

from schemas import ids
from schemas.events import Instruction, InstructionsGenerated
from schemas.policy import Policy, policy_for
from schemas.segments import Scorer, Segment, SegmentScores, Strategy
from streams.core.decider import Verdict
from tests.unit.core.conftest import decided, fresh_state, generation

SCORER = Scorer(backend="local", model="tiny", sha256=None, template="chat", version=1)
TEXT = "Rust forms where iron meets water and air, and paint keeps both away from the metal."
SEGMENT = Segment(
    id="s", document_id="d", documents_offset=0, number=0, strategy="salient", spans=((0, len(TEXT)),), text=TEXT
)
HOW, WHY, LIST, COPY = (
    "Explain how rust comes about.",
    "Say why cars are painted.",
    "List the causes of rust.",
    "Rust forms where iron meets water",
)
POLICY = policy_for(batch_size=1)


def candidates(
    texts: Sequence[str | Instruction], sums: Sequence[float | None] | None, *, number: int = 0, **changes: object
) -> InstructionsGenerated:
    """A generation whose segment of ten tokens has a log-likelihood of -30 alone, and of these after each candidate."""
    tasks = [one if isinstance(one, Instruction) else Instruction(instruction=one, output=TEXT) for one in texts]
    scores = None
    if sums is not None:
        scores = SegmentScores(scorer=SCORER, tokens=10, unconditional=-30.0, candidates=tuple(sums))
    made = generation(number, tasks, seed_ids=())
    return msgspec.structs.replace(made, style="documents", segment=SEGMENT, scores=scores, **changes)


def once(event: InstructionsGenerated, policy: Policy = POLICY) -> Verdict:
    return decided(fresh_state(policy), event)


def kept(verdict: Verdict) -> list[int]:
    return [row.place for row in verdict.decision.kept]


def reasons(verdict: Verdict) -> dict[int, str]:
    return {rejection.place: rejection.reason for rejection in verdict.rejected.rejections}


def test_the_lowest_perplexity_wins_and_the_others_name_the_winner() -> None:
    verdict = once(candidates([HOW, WHY, LIST], [-20.0, -12.0, -15.0]))
    assert kept(verdict) == [1]
    assert reasons(verdict) == {0: "higher_perplexity", 2: "higher_perplexity"}
    winner = ids.instruction_id(ids.generation_id("g0", 0), 1)
    assert {rejection.nearest_id for rejection in verdict.rejected.rejections} == {winner}
    assert verdict.decision.kept[0].output == TEXT
    assert (verdict.rejected.generated, verdict.rejected.kept) == (3, 1)


def test_of_equal_ones_the_first_wins() -> None:
    assert kept(once(candidates([HOW, WHY, LIST], [-20.0, -12.0, -12.0]))) == [1]


def test_what_does_not_fit_cannot_win_however_likely_it_makes_the_segment() -> None:
    texts = [COPY, "Rust?", Instruction(instruction=WHY, output=""), LIST, HOW]
    verdict = once(candidates(texts, [-1.0, -2.0, -3.0, None, -20.0]))
    assert kept(verdict) == [4]
    assert reasons(verdict) == {0: "copies_segment", 1: "too_short", 2: "empty_output", 3: "not_scored"}
    assert all(rejection.nearest_id is None for rejection in verdict.rejected.rejections)


def test_the_reasons_come_in_their_order() -> None:
    event = candidates([COPY, COPY, "Rust?", COPY, COPY], [None] * 5, cut=(0, 2))
    off = policy_for(batch_size=1, strategies=("random",), candidates=1)
    assert set(reasons(once(event, off)).values()) == {"strategy_off"}
    few = policy_for(batch_size=1, candidates=4)
    assert list(reasons(once(event, few)).values()) == [
        "cut_output",
        "copies_segment",
        "cut_output",
        "copies_segment",
        "over_candidates",
    ]
    uncut = policy_for(batch_size=1, reject_cut=False)
    assert list(reasons(once(event, uncut)).values())[:3] == ["copies_segment", "copies_segment", "too_short"]


@pytest.mark.parametrize(("least", "reason"), [(0.5, None), (1.0, None), (1.01, "low_gain"), (None, None)])
def test_the_winner_must_gain_enough(least: float | None, reason: str | None) -> None:
    """One nat a token; equality is enough."""
    verdict = once(candidates([HOW, WHY], [-20.0, -25.0]), policy_for(batch_size=1, gain_at_least=least))
    assert reasons(verdict) == {1: "higher_perplexity"} | ({} if reason is None else {0: reason})
    worse = once(candidates([HOW], [-31.0]), policy_for(batch_size=1, gain_at_least=least))
    assert kept(worse) == ([0] if least is None else [])


def test_a_winner_like_a_kept_row_is_similar_and_no_other_takes_its_place() -> None:
    state = fresh_state(POLICY)
    assert kept(decided(state, candidates([HOW, WHY], [-10.0, -20.0]))) == [0]
    again = decided(state, candidates([HOW, WHY], [-10.0, -20.0], number=1))
    assert kept(again) == []
    similar, loser = again.rejected.rejections
    assert (similar.reason, similar.nearest_id) == ("similar", ids.instruction_id(ids.generation_id("g0", 0), 0))
    assert (loser.reason, loser.nearest_id) == ("higher_perplexity", ids.instruction_id(ids.generation_id("g0", 1), 0))


@pytest.mark.parametrize("sums", [None, [None, None]])
def test_without_scores_nothing_is_kept(sums: list[float | None] | None) -> None:
    assert reasons(once(candidates([HOW, WHY], sums))) == {0: "not_scored", 1: "not_scored"}


def test_by_other_settings_a_loser_wins_if_it_was_scored() -> None:
    event = candidates([HOW, WHY, COPY], [-20.0, -12.0, None])
    assert kept(once(event, policy_for(batch_size=1, candidates=1))) == [0]
    loose = policy_for(batch_size=1, max_copied=1.0)
    assert reasons(once(event, loose)) == {0: "higher_perplexity", 2: "not_scored"}


def test_extreme_log_likelihoods_are_compared_too() -> None:
    assert kept(once(candidates([HOW, WHY], [-1e300, -9e299]), policy_for(batch_size=1, gain_at_least=None))) == [1]


def test_no_seed_is_credited_and_a_strategy_is_no_string_of_its_own() -> None:
    state = fresh_state(POLICY)
    decided(state, candidates([HOW], [-10.0]))
    assert state.scores == {}
    every: tuple[Strategy, ...] = ("random", "salient", "structural", "whole")
    assert Policy().strategies == every
