"""The limits of the feedback: each setting by itself, the invariants under all, and that none is on by default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import BatchRow, InstructionJudged, InstructionKept, Judge, ReplaceSeeds, StepLogged
from schemas.policy import Policy, policy_for
from streams.core.feedback import answer
from streams.core.judging import SCALE, FirstJudge
from streams.core.scores import SeedScore
from streams.core.seeds import SeedPool
from streams.core.similarity.rouge import rouge_l_fmeasure
from tests.unit.core.conftest import seeds_of
from tests.unit.core.test_feedback import (
    ALL_SCORED,
    NEW_TEXTS,
    SEED_TEXTS,
    answered,
    kept_rows,
    replaced,
    scores,
    step,
    verdicts,
    window,
)

ACCURATE = Judge(backend="none", model="m", rubric="accuracy", version=1)
HELPFUL = Judge(backend="none", model="m", rubric="helpfulness", version=1)


def judged(id: str, score: float | None, judge: Judge = ACCURATE) -> InstructionJudged:
    return InstructionJudged(
        kept_id=id,
        generated_offset=0,
        place=0,
        cluster=0,
        judge=judge,
        scale=SCALE,
        score=score,
        reason="",
        answers=(),
        cost_usd=None,
    )


def judge_of(*log: InstructionJudged | None) -> FirstJudge:
    found = FirstJudge()
    for offset, event in enumerate(log):
        found.apply(event, offset)
    return found


def answered_by_judge(judge: FirstJudge, judged_offset: int, least: float = 4.0) -> ReplaceSeeds:
    rows = ["k0", "k1", "k2", "k3"]
    policy = policy_for(candidate_min_score=least)
    pool = SeedPool.of(seeds_of(*SEED_TEXTS))
    return answer(policy, pool, ALL_SCORED, kept_rows(*NEW_TEXTS), window(step(11, rows)), 7, 99, judge, judged_offset)


# -- how many ------------------------------------------------------------------------------------------------------


def test_no_more_than_so_many_are_replaced_and_the_others_of_the_batch_say_that_they_were_too_many() -> None:
    command = answered("k2", "k0", "k3", policy=policy_for(max_replacements=2))
    assert replaced(command) == [("s1", "k2"), ("s2", "k0")]
    assert verdicts(command) == [("k2", "taken"), ("k0", "taken"), ("k3", "over_limit")]
    assert command.outcome == "replaced"


def test_a_row_within_the_limit_that_finds_no_victim_is_told_apart_from_one_beyond_it() -> None:
    command = answered("k2", "k0", "k3", scored=scores(s1=(1, 2)), policy=policy_for(max_replacements=2))
    assert replaced(command) == [("s1", "k2")]
    assert verdicts(command) == [("k2", "taken"), ("k0", "no_victim"), ("k3", "over_limit")]


def test_a_row_that_stands_again_behind_the_limit_is_still_similar_to_itself() -> None:
    command = answered("k2", "k0", "k0", policy=policy_for(max_replacements=1))
    assert verdicts(command) == [("k2", "taken"), ("k0", "over_limit"), ("k0", "similar_to_candidate")]


# -- which victims -------------------------------------------------------------------------------------------------


def shown(**values: tuple[int, int, int]) -> dict[str, SeedScore]:
    """Scores by seed id, given as (kept, generated, shown)."""
    return {id: SeedScore(generated, kept, 0, times) for id, (kept, generated, times) in values.items()}


def test_a_seed_that_was_shown_too_seldom_is_safe() -> None:
    scored = shown(s0=(0, 9, 2), s1=(1, 4, 3), s2=(4, 4, 4))
    assert replaced(answered("k0", scored=scored, policy=policy_for(min_showings=3))) == [("s1", "k0")]
    command = answered("k0", scored=scored, policy=policy_for(min_showings=5))
    assert (command.outcome, verdicts(command)) == ("no_victims", [("k0", "no_victim")])


def test_a_seed_with_a_higher_score_is_safe_and_one_with_just_that_is_not() -> None:
    rows = ["k0", "k1", "k2"]
    assert replaced(answered(*rows, policy=policy_for(victim_max_score=0.5))) == [("s1", "k0"), ("s2", "k1")]
    assert replaced(answered(*rows, policy=policy_for(victim_max_score=0.49))) == [("s1", "k0")]
    all_good = scores(s0=(4, 4), s1=(2, 2), s2=(9, 9))
    assert len(replaced(answered(*rows, scored=all_good))) == 3, "the paper replaces good seeds too"
    assert answered(*rows, scored=all_good, policy=policy_for(victim_max_score=0.95)).outcome == "no_victims"


# -- which batch ---------------------------------------------------------------------------------------------------


def borrowed(number: int, grad_norm: float | None) -> StepLogged:
    """A step whose second slot, of cluster 1 of 2, has a row of cluster 0."""
    rows = tuple(BatchRow(id=f"k{slot}", slot=slot, cluster=0, generated_offset=0) for slot in range(2))
    return msgspec.structs.replace(step(number, grad_norm=grad_norm), rows=rows)


def own(number: int, grad_norm: float | None) -> StepLogged:
    """A step with three rounds of both clusters' own rows."""
    rows = tuple(BatchRow(id=f"k{slot % 4}", slot=slot, cluster=slot % 2, generated_offset=0) for slot in range(6))
    return msgspec.structs.replace(step(number, grad_norm=grad_norm), rows=rows)


@pytest.mark.parametrize(
    ("steps", "chosen", "outcome"),
    [
        ([borrowed(11, 9.0), own(12, 1.0)], 12, "replaced"),
        ([borrowed(11, 9.0), own(12, None)], None, "borrowed"),
        ([borrowed(11, 9.0), own(5, 1.0)], None, "borrowed"),
        ([borrowed(11, None), own(12, None)], None, "no_metric"),
    ],
)
def test_a_batch_with_a_borrowed_row_is_passed_over(steps: list[StepLogged], chosen: int | None, outcome: str) -> None:
    policy = policy_for(clusters=2, batch_size=2, feedback_borrowed=False)
    pool = SeedPool.of(seeds_of(*SEED_TEXTS))
    command = answer(policy, pool, ALL_SCORED, kept_rows(*NEW_TEXTS), window(*steps), 7, 99)
    assert (command.step, command.outcome) == (chosen, outcome)
    by_default = answer(policy_for(clusters=2), pool, ALL_SCORED, kept_rows(*NEW_TEXTS), window(*steps), 7, 99)
    assert (by_default.step, by_default.outcome) == (
        (None, "no_metric") if outcome == "no_metric" else (11, "replaced")
    )


# -- which candidates ----------------------------------------------------------------------------------------------


def test_only_rows_that_the_judge_gave_enough_become_seeds_and_the_others_say_why() -> None:
    judge = judge_of(judged("k0", 3.5), judged("k1", 4.0), judged("k2", None))
    command = answered_by_judge(judge, 2)
    assert verdicts(command) == [("k0", "low_score"), ("k1", "taken"), ("k2", "low_score"), ("k3", "unjudged")]
    assert replaced(command) == [("s1", "k1")]
    assert (command.candidates[0].similarity, command.candidates[3].similarity) == (None, None)
    assert command.judged_offset == 2


def test_what_was_judged_after_the_record_that_the_command_names_does_not_count() -> None:
    judge = judge_of(judged("k1", 5.0), None, judged("k2", 5.0), judged("k3", 5.0))
    assert [verdict for _, verdict in verdicts(answered_by_judge(judge, 2))] == [
        "unjudged",
        "taken",
        "taken",
        "unjudged",
    ]
    assert [verdict for _, verdict in verdicts(answered_by_judge(judge, 1))] == ["unjudged", "taken"] + ["unjudged"] * 2
    nobody = answered_by_judge(judge, -1)
    assert (nobody.outcome, nobody.judged_offset) == ("no_candidates", -1)


def test_the_first_judge_on_the_log_and_its_first_score_of_a_row_count() -> None:
    judge = judge_of(judged("k0", 4.0), judged("k1", 5.0, HELPFUL), judged("k0", 1.0), judged("k1", 1.0))
    assert [verdict for _, verdict in verdicts(answered_by_judge(judge, 3))][:2] == ["taken", "low_score"]


def test_a_row_that_was_not_let_in_by_the_judge_is_no_reason_to_reject_one_that_is_like_it() -> None:
    texts = (NEW_TEXTS[1], "oak ash elm birch yew")
    policy, pool = policy_for(candidate_min_score=4.0), SeedPool.of(seeds_of(*SEED_TEXTS))
    judge = judge_of(judged("k0", 1.0), judged("k1", 5.0))
    command = answer(policy, pool, ALL_SCORED, kept_rows(*texts), window(step(11, ["k0", "k1"])), 7, 99, judge, 1)
    assert verdicts(command) == [("k0", "low_score"), ("k1", "taken")]


def test_a_policy_without_a_least_score_looks_at_no_judge() -> None:
    pool, rows = SeedPool.of(seeds_of(*SEED_TEXTS)), window(step(11, ["k0"]))
    judge = judge_of(judged("k0", 0.0))
    command = answer(Policy(), pool, ALL_SCORED, kept_rows(*NEW_TEXTS), rows, 7, 99, judge, 0)
    assert (verdicts(command), command.judged_offset) == ([("k0", "taken")], -1)


def test_a_record_before_the_last_one_taken_in_changes_nothing() -> None:
    judge = judge_of(judged("k0", 1.0), None)
    judge.apply(judged("k1", 5.0), 1)
    assert (judge.offset, judge.admits("k1", 4.0, 9), judge.admits("k0", 1.0, 0)) == (1, None, True)


# -- whatever the window and the settings ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """An arbitrary window, with the state for its answer."""

    pool: SeedPool
    scores: Mapping[str, SeedScore]
    kept: Mapping[str, InstructionKept]
    steps: Sequence[StepLogged]
    judge: FirstJudge

    def answered(self, policy: Policy, judged_offset: int = -1) -> ReplaceSeeds:
        return answer(policy, self.pool, self.scores, self.kept, window(*self.steps), 7, 99, self.judge, judged_offset)


WORDS = ["red", "blue", "old", "new", "cow", "house", "tree", "song"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
SCORES = st.builds(
    lambda generated, rejected, times: SeedScore(generated, max(0, generated - rejected), 0, times),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(1, 5),
)
STEPS = st.lists(
    st.tuples(
        st.none() | st.floats(0, 9),
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=8, unique_by=lambda row: row[0]),
    ),
    min_size=1,
    max_size=4,
)
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "max_replacements": st.integers(1, 4),
        "min_showings": st.integers(1, 5),
        "victim_max_score": st.floats(0, 1),
        "feedback_borrowed": st.booleans(),
        "candidate_min_score": st.floats(0, 5),
        "count_rule_rejections": st.booleans(),
        "metric": st.sampled_from(["grad_norm", "random"]),
    },
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    seed_texts = draw(st.lists(TEXTS, max_size=6))
    steps = [
        StepLogged(
            step=10 + place,
            loss=1.0,
            loss_variance=1.0,
            grad_norm=norm,
            learning_rate=0.1,
            tokens=1,
            seconds=0.1,
            rows=tuple(
                BatchRow(id=f"k{row}", slot=slot, cluster=cluster, generated_offset=0)
                for slot, (row, cluster) in enumerate(rows)
            ),
        )
        for place, (norm, rows) in enumerate(draw(STEPS))
    ]
    log = draw(st.lists(st.none() | st.tuples(st.integers(0, 9), st.none() | st.sampled_from([0.0, 2.5, 5.0]))))
    return Window(
        SeedPool.of(seeds_of(*seed_texts)),
        {f"s{place}": draw(SCORES) for place in range(len(seed_texts)) if draw(st.booleans())},
        kept_rows(*draw(st.lists(TEXTS, max_size=10))),
        steps,
        judge_of(*(None if entry is None else judged(f"k{entry[0]}", entry[1]) for entry in log)),
    )


@settings(max_examples=300, deadline=None)
@given(windows(), POLICIES, st.integers(-1, 20))
def test_no_window_replaces_what_the_policy_forbids(
    found: Window, given: dict[str, object], judged_offset: int
) -> None:
    policy = policy_for(clusters=4, batch_size=4, **given)
    command = found.answered(policy, judged_offset)
    assert len(command.replacements) <= (policy.max_replacements or 99)
    for replacement in command.replacements:
        score = found.scores[replacement.victim_id]
        assert score.value is not None and score.value <= policy.victim_max_score
        assert score.shown >= policy.min_showings
        if policy.candidate_min_score is not None:
            assert found.judge.admits(replacement.seed.id, policy.candidate_min_score, judged_offset)
    taken = [id for id, verdict in verdicts(command) if verdict == "taken"]
    assert taken == [replacement.seed.id for replacement in command.replacements]
    assert (command.outcome == "replaced") == bool(taken)
    if command.step is not None and not policy.feedback_borrowed:
        (chosen,) = (step for step in found.steps if step.step == command.step)
        assert not any(row.is_borrowed(4) for row in chosen.rows)
    if any(verdict == "over_limit" for _, verdict in verdicts(command)):
        assert len(taken) + sum(verdict == "no_victim" for _, verdict in verdicts(command)) == policy.max_replacements


def as_before(found: Window) -> tuple[int | None, list[tuple[str, str]], list[tuple[str, str]]]:
    """Step, verdicts and replacements as decided before the limits existed."""
    usable = [step for step in found.steps if step.step > 10 and step.grad_norm is not None]
    if not usable:
        return None, [], []
    best = max(usable, key=lambda step: (step.grad_norm or 0.0, -step.step))
    compared = {seed.task.id: seed.task.instruction for seed in found.pool.active}
    new: list[str] = []
    expected: list[tuple[str, str]] = []
    for row in (row.id for row in best.rows):
        if row not in found.kept:
            expected.append((row, "unknown_row"))
            continue
        text = found.kept[row].instruction
        similarity, first = max(
            ((rouge_l_fmeasure(other, text), -place) for place, other in enumerate(compared.values())), default=(0.0, 0)
        )
        if similarity <= 0.7:
            new.append(row)
            expected.append((row, "taken"))
            compared[row] = text
        else:
            expected.append((row, "similar_to_candidate" if list(compared)[-first] in new else "similar_to_seed"))
    scored = [(score.kept / score.generated, id) for id, score in found.scores.items() if score.generated]
    pairs = [(victim, row) for (_, victim), row in zip(sorted(scored), new, strict=False)]
    short = new[len(pairs) :]
    return best.step, [(row, "no_victim" if row in short else verdict) for row, verdict in expected], pairs


@settings(max_examples=300, deadline=None)
@given(windows())
def test_by_default_every_window_is_answered_as_before(found: Window) -> None:
    command = found.answered(policy_for(count_rule_rejections=True), judged_offset=3)
    assert (command.step, verdicts(command), replaced(command)) == as_before(found)
    assert command.judged_offset == -1
