"""The filter's decisions: what is kept, what is rejected and why; decisions are reproducible."""

import math
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer
from scipy.sparse import csr_array

from schemas import ids
from schemas.errors import MalformedEvent
from schemas.events import ClassifierFitted, Instruction, InstructionsGenerated, Rejection, RunConfigured
from schemas.policy import ALL_RULES, Policy, policy_for
from schemas.seeds import SeedTask
from streams.core import decider, refits
from streams.core.decider import Decision, FilterState, Verdict
from streams.core.filter_state import DueFit
from streams.core.scores import SeedScore
from streams.core.similarity.reference import ReferenceIndex
from streams.core.similarity.tokenize import rouge_tokens
from tests.unit.core.conftest import configured, decided, first_classifier, fresh_state, generation, in_one_go, seeds_of

SCORER = rouge_scorer.RougeScorer(["rougeL"])

TEN = "a0 a1 a2 a3 a4 a5 a6 a7 a8 a9"


def policy(threshold: float = 0.85, **changes: object) -> Policy:
    """One cluster, and no rules but similarity."""
    return policy_for(**{"batch_size": 1, "rules": (), "threshold": threshold, **changes})


def changed(text: str, words: int) -> str:
    """The text with its last words replaced, so that F with it is 1 - words / length."""
    tokens = text.split()
    return " ".join(tokens[: len(tokens) - words] + [f"other{n}" for n in range(words)])


F_OF_2 = SCORER.score(TEN, changed(TEN, 2))["rougeL"].fmeasure  # 0.8 but for the last bit


def kept_texts(verdict: Verdict) -> list[str]:
    return [row.instruction for row in verdict.decision.kept]


def reasons(verdict: Verdict) -> list[tuple[int, str]]:
    return [(rejection.place, rejection.reason) for rejection in verdict.rejected.rejections]


def only_rejection(verdict: Verdict) -> Rejection:
    (rejection,) = verdict.rejected.rejections
    return rejection


def row_id(number: int, place: int, lane: str = "g0") -> str:
    return ids.instruction_id(ids.generation_id(lane, number), place)


# -- similarity ----------------------------------------------------------------------------------------------------


def test_the_first_of_two_similar_instructions_is_kept_and_the_later_says_what_it_is_like() -> None:
    state = fresh_state(policy(0.7))
    assert kept_texts(decided(state, generation(0, [TEN]))) == [TEN]
    later = decided(state, generation(1, ["Something else entirely here", changed(TEN, 2)]))
    assert kept_texts(later) == ["Something else entirely here"]
    assert only_rejection(later) == Rejection(
        id=row_id(1, 1), place=1, reason="similar", similarity=F_OF_2, nearest_id=row_id(0, 0), threshold=0.7
    )


def test_the_nearest_is_the_one_with_the_highest_f_wherever_it_stands() -> None:
    state = fresh_state(policy(0.5))
    far, near = "x0 a1 a2 a3 a4 a5 x6 x7 x8 x9", "a0 a1 a2 a3 a4 a5 a6 y7 y8 y9"
    assert len(kept_texts(decided(state, generation(0, [far, near])))) == 2
    rejection = only_rejection(decided(state, generation(1, [TEN])))
    assert (rejection.nearest_id, rejection.similarity) == (row_id(0, 1), SCORER.score(near, TEN)["rougeL"].fmeasure)


@pytest.mark.parametrize("generations", [[[0, 1], [2]], [[0], [1, 2]], [[0, 1, 2]], [[0], [1], [2]]])
def test_of_equally_near_ones_the_earliest_is_named(generations: list[list[int]]) -> None:
    """Whether it was kept by an earlier generation or a moment ago."""
    texts = ["a0 a1 a2 a3 a4 a5 x6 x7 x8 x9", "y0 y1 y2 y3 a4 a5 a6 a7 a8 a9", TEN]
    state = fresh_state(policy(0.5))
    for number, places in enumerate(generations):
        last = decided(state, generation(number, [texts[place] for place in places]))
    rejection = only_rejection(last)
    assert (rejection.similarity, rejection.nearest_id) == (pytest.approx(0.6), row_id(0, 0))


def test_instructions_of_one_generation_are_compared_with_each_other_in_their_order() -> None:
    verdict = decided(fresh_state(policy(0.7)), generation(0, [TEN, changed(TEN, 2), changed(TEN, 4), TEN]))
    assert kept_texts(verdict) == [TEN, changed(TEN, 4)], "the rejected second is no reason to reject the third"
    assert [(r.place, r.similarity, r.nearest_id) for r in verdict.rejected.rejections] == [
        (1, F_OF_2, row_id(0, 0)),
        (3, 1.0, row_id(0, 0)),
    ]


@pytest.mark.parametrize("words", range(1, 10))
@pytest.mark.parametrize("siblings", [True, False])
def test_equality_with_the_threshold_keeps_and_the_least_more_rejects(words: int, siblings: bool) -> None:
    other = changed(TEN, words)
    fmeasure = SCORER.score(TEN, other)["rougeL"].fmeasure
    for threshold, kept in ((fmeasure, True), (math.nextafter(fmeasure, 0), False)):
        state = fresh_state(policy(threshold))
        first = decided(state, generation(0, [TEN, other] if siblings else [TEN]))
        verdict = first if siblings else decided(state, generation(1, [other]))
        assert (other in kept_texts(verdict)) == kept


# -- rules ---------------------------------------------------------------------------------------------------------


BROKEN = {
    "too_short": Instruction(instruction="Name three fruits", output="so"),
    "too_long": Instruction(instruction="many " * 151, output="so"),
    "unsuitable_word": Instruction(instruction="Describe the music of the Baroque", output="so"),
    "write_program": Instruction(instruction="Write a program that adds numbers", output="so"),
    "starts_with_punctuation": Instruction(instruction="'Tis the season, says who", output="so"),
    "starts_non_ascii": Instruction(instruction="Émile Zola wrote which books", output="so"),
    "empty_output": Instruction(instruction="Give me no answer at all", output=" "),
}


def test_each_rule_rejects_with_its_own_reason_and_without_a_similarity() -> None:
    verdict = decided(fresh_state(), generation(0, BROKEN.values()))
    assert reasons(verdict) == list(enumerate(BROKEN))
    assert all((r.similarity, r.nearest_id, r.threshold) == (None, None, None) for r in verdict.rejected.rejections)
    assert set(BROKEN) == set(ALL_RULES)


@pytest.mark.parametrize("rule", ALL_RULES)
def test_each_rule_can_be_switched_off(rule: str) -> None:
    some = policy_for(batch_size=1, rules=tuple(name for name in ALL_RULES if name != rule))
    verdict = decided(fresh_state(some), generation(0, BROKEN.values()))
    assert kept_texts(verdict) == [BROKEN[rule].instruction]


def test_a_broken_rule_is_told_before_any_similarity() -> None:
    state = fresh_state(policy_for(batch_size=1))
    task = Instruction(instruction="Name three kinds of sweet fruit", output="")
    decided(state, generation(0, [Instruction(instruction=task.instruction, output="apples")]))
    assert reasons(decided(state, generation(1, [task]))) == [(0, "empty_output")]


def test_an_instruction_that_was_rejected_by_a_rule_is_nothing_to_be_similar_to() -> None:
    text = "Name three kinds of sweet fruit"
    verdict = decided(fresh_state(), generation(0, [Instruction(instruction=text), text]))
    assert (kept_texts(verdict), reasons(verdict)) == ([text], [(0, "empty_output")])


# -- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["東京タワーの 高さは 何 メートル", "... !? -- ;;", ""])
def test_a_text_in_which_no_tokens_are_seen_is_rejected_as_such(text: str) -> None:
    assert reasons(decided(fresh_state(policy()), generation(0, [text]))) == [(0, "no_tokens")]


def test_the_unicode_tokenizer_compares_other_scripts() -> None:
    state = fresh_state(policy(0.7, tokenizer="unicode"))
    tower, castle = "東京タワーの高さは", "大阪城はいつ建てられましたか"
    verdict = decided(state, generation(0, [tower, castle, tower[:-1], "。。。"]))
    assert kept_texts(verdict) == [tower, castle]
    assert reasons(verdict) == [(2, "similar"), (3, "no_tokens")]
    later = decided(state, generation(1, ["東京タワーの 高さは?"]))
    assert (only_rejection(later).similarity, only_rejection(later).nearest_id) == (1.0, row_id(0, 0))


# -- seeds and modes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compare", [True, False])
def test_instructions_are_compared_with_the_seeds_only_if_the_policy_says_so(compare: bool) -> None:
    state = fresh_state(policy(0.7, compare_with_seeds=compare), seeds_of("one two three four", TEN))
    verdict = decided(state, generation(0, [TEN]))
    if compare:
        assert only_rejection(verdict).nearest_id == "s1"
    else:
        assert kept_texts(verdict) == [TEN]


def test_a_seed_counts_as_earlier_than_every_kept_instruction() -> None:
    seed = "y0 y1 y2 y3 a4 a5 a6 a7 a8 a9"
    state = fresh_state(policy(0.5, compare_with_seeds=True), seeds_of(seed))
    decided(state, generation(0, ["a0 a1 a2 a3 a4 a5 x6 x7 x8 x9"]))
    assert only_rejection(decided(state, generation(1, [TEN]))).nearest_id == "s0"


def test_seeds_that_are_like_each_other_or_without_tokens_are_all_taken() -> None:
    state = fresh_state(policy(0.7, compare_with_seeds=True), seeds_of(TEN, TEN, "東京", changed(TEN, 1)))
    assert only_rejection(decided(state, generation(0, [TEN]))).nearest_id == "s0"
    assert state.kept == {} or list(state.kept) == [row_id(0, 0)]


def test_self_instruct_mode_compares_at_0_7_with_seeds_too_and_has_one_cluster() -> None:
    seed = "Suggest ten places to visit in the old town"
    state = fresh_state(policy_for("self-instruct"), seeds_of(seed))
    like_the_seed = "Suggest ten places to visit in the big city"
    verdict = decided(state, generation(0, [like_the_seed, "Explain why leaves turn red in autumn", "Draw it"]))
    assert [row.cluster for row in verdict.decision.kept] == [0]
    assert kept_texts(verdict) == ["Explain why leaves turn red in autumn"]
    assert reasons(verdict) == [(0, "similar"), (2, "too_short")]
    assert verdict.rejected.rejections[0].threshold == 0.7
    sedi = decided(fresh_state(policy_for(batch_size=1), seeds_of(seed)), generation(0, [like_the_seed]))
    assert kept_texts(sedi) == [like_the_seed]


# -- one verdict for everything ------------------------------------------------------------------------------------


def test_kept_rows_carry_their_text_their_place_on_the_log_and_their_classifier() -> None:
    state = fresh_state(policy_for(batch_size=4))
    task = Instruction(instruction="Translate this sentence to French", input="Good day", output="Bonjour")
    decider.apply(state, decider.empty_verdict(state, 0).decision)
    (row,) = decided(state, generation(5, ["Draw it", task])).decision.kept
    assert (row.instruction, row.input, row.output) == (task.instruction, task.input, task.output)
    assert (row.id, row.generation_id) == (row_id(5, 1), ids.generation_id("g0", 5))
    assert (row.generated_offset, row.place, row.classifier_offset) == (1, 1, 0)
    assert state.model is not None and row.cluster == state.model.cluster(task.instruction)


def test_totals_say_how_far_the_filter_is_also_when_nothing_was_rejected() -> None:
    state = fresh_state()
    first = decided(state, generation(0, ["Name three kinds of sweet fruit", "Draw it"])).rejected
    second = decided(state, generation(1, ["Explain why leaves turn red in autumn"])).rejected
    third = decided(state, generation(2, [])).rejected
    assert [(r.generated, r.kept, r.generated_total, r.kept_total) for r in (first, second, third)] == [
        (2, 1, 2, 1),
        (1, 1, 3, 2),
        (0, 0, 3, 2),
    ]
    assert [r.generated_offset for r in (first, second, third)] == [0, 1, 2]
    assert second.rejections == ()


@pytest.mark.parametrize("lane", ["g0", ""])
def test_a_generation_that_was_written_again_gives_nothing_and_credits_nobody(lane: str) -> None:
    state = fresh_state()
    texts = ["Name three kinds of sweet fruit", "Explain why leaves turn red in autumn"]
    for number in range(3):
        decided(state, generation(number, [], lane=lane))
    decided(state, generation(3, texts, lane=lane))
    scores, kept = dict(state.scores), dict(state.kept)
    for number in (3, 2):
        again = decided(state, generation(number, [*texts, "List five rivers of Europe"], lane=lane))
        assert (again.decision.generated, again.decision.kept, again.rejected.rejections) == (0, (), ())
        assert (again.rejected.generated, again.rejected.kept) == (0, 0)
        assert (again.rejected.generated_total, again.rejected.kept_total) == (2, 2)
    assert (state.scores, state.kept, state.applied) == (scores, kept, 5)


def test_lanes_number_their_generations_by_themselves() -> None:
    state = fresh_state()
    decided(state, generation(7, ["Name three kinds of sweet fruit"], lane="g0"))
    assert len(kept_texts(decided(state, generation(0, ["List five rivers of Europe"], lane="g1")))) == 1
    assert state.numbers == {"g0": 7, "g1": 0}


def test_a_generation_that_could_not_be_read_in_its_turn_is_decided_when_it_comes_again_once() -> None:
    state = fresh_state()
    decided(state, generation(0, ["Name three kinds of sweet fruit"]))
    decider.apply(state, decider.empty_verdict(state, 1).decision)  # number 1, unreadable
    decided(state, generation(2, ["List five rivers of Europe"]))

    again = generation(1, ["Explain why leaves turn red in autumn"])
    assert kept_texts(decided(state, again)) == ["Explain why leaves turn red in autumn"]
    assert kept_texts(decided(state, again)) == []
    assert (state.numbers, state.lanes.missing) == ({"g0": 2}, {})


def test_an_unreadable_record_gets_a_decision_that_generates_nothing() -> None:
    state = fresh_state()
    decided(state, generation(0, ["Name three kinds of sweet fruit"]))
    verdict = decider.empty_verdict(state, 1)
    assert verdict.decision == Decision(offset=1)
    assert (verdict.rejected.generation_id, verdict.rejected.generated_offset) == ("", 1)
    assert (verdict.rejected.generated_total, verdict.rejected.kept_total) == (1, 1)
    decider.apply(state, verdict.decision)
    assert (state.applied, state.generated_total, state.numbers) == (1, 1, {"g0": 0})


def test_a_generation_under_an_id_that_is_not_its_own_is_malformed() -> None:
    with pytest.raises(MalformedEvent, match="Generation 1 of lane 'g0' has the id"):
        decider.decide(fresh_state(), 0, ids.generation_id("g0", 0), generation(1, []))


def test_a_state_without_a_classifier_cannot_decide() -> None:
    with pytest.raises(ValueError, match="no classifier yet"):
        decider.decide(decider.initial_state(configured()), 0, ids.generation_id("g0", 0), generation(0, []))


# -- pure, and the same again --------------------------------------------------------------------------------------


def everything(state: FilterState) -> bytes:
    """The whole state with its index, except what the index caches for the threshold."""
    return pickle.dumps(vars(state))


def beside_the_index(state: FilterState) -> bytes:
    return pickle.dumps({name: value for name, value in vars(state).items() if name not in ("index", "entered")})


def test_deciding_changes_nothing_and_decides_the_same_again() -> None:
    state = fresh_state(policy_for(batch_size=4))
    decided(state, generation(0, ["Name three kinds of sweet fruit", "List five rivers of Europe"]))
    event = generation(1, ["Name three kinds of sour fruit", "A text of words never seen before", "Draw it"])
    before = beside_the_index(state)
    verdicts = [decider.decide(state, 1, ids.generation_id("g0", 1), event) for _ in range(3)]
    assert beside_the_index(state) == before
    assert len({msgspec.json.encode((v.decision, v.rejected)) for v in verdicts}) == 1
    decider.apply(state, verdicts[0].decision)
    assert beside_the_index(state) != before
    assert all(row.id in state.index for row in verdicts[0].decision.kept)


@pytest.mark.parametrize("kept", [(), (1,), (2, 1)])
def test_a_decision_that_another_one_replaces_leaves_no_rows(kept: tuple[int, ...]) -> None:
    """An audit goes on with what is recorded, also where it decides otherwise."""
    state = fresh_state(policy_for(batch_size=4))
    texts = [
        "Name three kinds of sour fruit",
        "A text of words never seen before",
        "Explain how a stone bridge carries its load",
    ]
    event = generation(0, texts)
    verdict = decider.decide(state, 0, ids.generation_id("g0", 0), event)
    rows = tuple(verdict.decision.kept[place] for place in kept)
    decider.apply(state, msgspec.structs.replace(verdict.decision, kept=rows))
    assert [row.id in state.index for row in verdict.decision.kept] == [place in kept for place in range(3)]
    again = decider.decide(
        state, 1, ids.generation_id("g0", 1), generation(1, [t.instruction for t in event.instructions])
    )
    assert {rejection.place: rejection.nearest_id for rejection in again.rejected.rejections} == {
        place: verdict.decision.kept[place].id for place in kept
    }


def test_a_decision_that_is_not_newer_than_the_state_changes_nothing() -> None:
    state = fresh_state()
    texts = ["Name three kinds of sweet fruit", "List five rivers of Europe", "Explain why leaves turn red"]
    decisions = [decided(state, generation(number, [text])).decision for number, text in enumerate(texts)]
    before = everything(state)
    for decision in decisions:
        decider.apply(state, decision)
    assert everything(state) == before


def test_restoring_many_decisions_is_applying_each() -> None:
    """Also when the state has some of them already."""
    state = fresh_state()
    texts = ["Name three kinds of sweet fruit", "List five rivers of Europe", "Explain why leaves turn red"]
    decisions = [decided(state, generation(n, [text, "Draw it"])).decision for n, text in enumerate(texts)]
    for known in range(4):
        restored, reports = fresh_state(), list[int]()
        for decision in decisions[:known]:
            decider.apply(restored, decision)
        assert decider.restore(restored, decisions, reports.append) is restored
        for name in ("kept", "scores", "applied", "lanes", "generated_total"):
            assert getattr(restored, name) == getattr(state, name)
        assert decided(restored, generation(9, texts)) == decider.decide(
            state, 3, ids.generation_id("g0", 9), generation(9, texts)
        )


def test_a_decision_survives_the_kept_table() -> None:
    decision = decided(fresh_state(), generation(0, ["Name three kinds of sweet fruit", "Draw it"])).decision
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision


# -- refits --------------------------------------------------------------------------------------------------------


NOUNS = ("river", "castle", "garden", "engine", "planet", "violin", "bakery", "harbor", "forest", "market", "bridge")


def distinct(count: int, start: int = 0) -> list[str]:
    """Instructions that are not similar to each other."""
    shapes = (
        "Explain how the {} came to {}",
        "Suggest a holiday near some {} in {}",
        "Who invented every {} before {}",
        "Compare your {} with our {}",
    )
    return [
        shapes[n % 4].format(NOUNS[n // 4 % 11] + str(n), "abcdefghij"[n % 10] * (3 + n % 5)) + f" k{n} m{n} q{n}"
        for n in range(start, start + count)
    ]


def test_a_refit_is_due_at_its_mark_and_is_in_force_from_the_next_offset_on() -> None:
    state = fresh_state(policy_for(batch_size=4, refit_from=8, refit_growth=2))
    decided(state, generation(0, distinct(7)))
    assert decider.due_classifier(state) is None
    decided(state, generation(1, distinct(1, start=7)))
    due = decider.due_classifier(state)
    assert due is not None
    assert (due.from_offset, due.fitted_on, due.texts, due.kept_total) == (2, "kept", 8, 8)
    assert [row.classifier_offset for row in state.kept.values()] == [0] * 8
    decider.use_classifier(state, due)
    assert decider.due_classifier(state) is None
    (row,) = decided(state, generation(2, distinct(1, start=8))).decision.kept
    assert row.classifier_offset == 2


def test_one_generation_that_jumps_two_marks_is_followed_by_one_refit() -> None:
    run = configured(policy_for(batch_size=4, refit_from=8, refit_growth=2))
    fold = in_one_go(run, [generation(n, distinct(*part)) for n, part in enumerate([(20, 0), (11, 20), (1, 31)])])
    assert [(event.from_offset, event.texts) for event in fold.classifiers] == [(1, 20), (3, 32)]
    assert fold.state.fits == 3


def test_a_mark_below_what_a_fit_needs_is_passed_when_there_is_enough() -> None:
    run = configured(policy_for(batch_size=16, refit_from=1))
    fold = in_one_go(run, [generation(n, [text]) for n, text in enumerate(distinct(8))])
    assert [event.texts for event in fold.classifiers] == [5, 6, 7, 8]


def test_the_literal_classifier_and_a_single_cluster_are_never_fitted_again() -> None:
    for some in (policy_for(batch_size=4, classifier="literal", refit_from=4), policy_for(batch_size=1, refit_from=4)):
        assert in_one_go(configured(some), [generation(0, distinct(9))]).classifiers == []


# -- for every stream ----------------------------------------------------------------------------------------------


WORDS = st.sampled_from(["red", "blue", "old", "cow", "tree", "house", "sings", "runs", "draw", "東京", "!"])
TASKS = st.builds(
    Instruction,
    instruction=st.lists(WORDS, min_size=2, max_size=9).map(" ".join),
    output=st.sampled_from(["so", "so", "so", ""]),
)
RECORDS = st.one_of(
    st.none(),
    st.builds(
        generation,
        st.integers(0, 12),
        st.lists(TASKS, max_size=6),
        lane=st.sampled_from(["g0", "g1"]),
        seed_ids=st.lists(st.sampled_from(["s0", "s1", "s2"]), max_size=3),
    ),
)
POLICIES = st.builds(
    policy_for,
    st.just("sedi"),
    batch_size=st.sampled_from([1, 4]),
    refit_from=st.sampled_from([6, 7]),
    refit_lead=st.sampled_from([0, 2]),
    threshold=st.sampled_from([0.5, 0.7, 0.85]),
    compare_with_seeds=st.booleans(),
    tokenizer=st.sampled_from(["rouge", "unicode"]),
)


def small_run(some: Policy) -> RunConfigured:
    return configured(some, seeds_of("red cow runs", "blue cow sings", "old tree house", "the house sings", *NOUNS))


def recovered(
    run: RunConfigured, table: Sequence[bytes], recorded: Sequence[ClassifierFitted]
) -> tuple[FilterState, dict[int, ClassifierFitted]]:
    """The state after a crash: from the decisions in the table and the classifiers on the log."""
    state = decider.initial_state(run)
    decider.restore(state, [msgspec.json.decode(value, type=Decision) for value in table])
    decider.use_classifier(state, first_classifier(run.policy, run.seeds))
    for event in recorded:
        if event.from_offset <= state.applied + 1:
            decider.use_classifier(state, event)
    return state, {event.from_offset: event for event in recorded}


@pytest.fixture
def leads_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refits, "REFIT_ROWS", 3)


@pytest.mark.usefixtures("leads_of_few_rows")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(POLICIES, st.lists(RECORDS, max_size=14), st.integers(1, 5))
def test_a_log_decided_in_blocks_is_decided_as_record_by_record(
    some: Policy, log: list[InstructionsGenerated | None], size: int
) -> None:
    """Given blocks that end where a classifier comes into force, then verdicts, state and later decisions are equal."""
    run = small_run(some)
    whole = in_one_go(run, log)
    state = fresh_state(some, run.seeds)
    verdicts: list[Verdict] = []
    while len(verdicts) < len(log):
        judged = []
        for event in log[len(verdicts) :][:size]:
            at = state.applied + 1
            if event is None:
                judged.append(decider.judge_empty(state, at))
            else:
                judged.append(decider.judge(state, at, ids.generation_id(event.lane, event.number), event))
            if state.next_fit is not None and state.kept_total >= state.next_fit:
                break
        verdicts += decider.classify(state, judged)
        due = decider.due_classifier(state)
        if due is not None:
            decider.use_classifier(state, due)
    assert verdicts == whole.verdicts
    parts = ("kept", "kept_total", "scores", "lanes", "applied", "generated_total", "classifier_offset", "due_fit")
    assert [getattr(state, name) for name in parts] == [getattr(whole.state, name) for name in parts]
    assert list(state.kept) == list(whole.state.kept)
    later = generation(30, ["red cow runs", "old tree house sings"])
    assert decided(state, later) == decided(whole.state, later)


def test_a_judgement_that_fails_leaves_the_state_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    state, untouched = fresh_state(policy(0.7)), fresh_state(policy(0.7))
    state.index = ReferenceIndex(0.7)
    add = state.index.add

    def fail_at_the_second(id: str, text: str, position: tuple[int, int]) -> None:
        if position[1] == 1:
            raise OSError("no memory")
        add(id, text, position)

    monkeypatch.setattr(state.index, "add", fail_at_the_second)
    event = generation(0, distinct(3))
    with pytest.raises(OSError, match="no memory"):
        decider.judge(state, 0, ids.generation_id("g0", 0), event)
    monkeypatch.undo()
    assert (state.applied, state.kept_total, state.scores, len(state.index)) == (-1, 0, {}, 0)
    assert decided(state, event) == decided(untouched, event)


def test_a_refit_leads_by_a_record_for_every_so_many_rows_and_no_other_is_due_before(leads_of_few_rows: None) -> None:
    run = configured(policy_for(batch_size=4, refit_from=8, refit_growth=1.1, refit_lead=3))
    fold = in_one_go(run, [generation(n, distinct(2, start=2 * n)) for n in range(13)])
    assert [(event.texts, event.from_offset) for event in fold.classifiers] == [(8, 6), (12, 9), (18, 12)]
    rows = list(fold.state.kept.values())
    assert [row.classifier_offset for row in rows[::2]] == [0] * 6 + [6] * 3 + [9] * 3 + [12]
    assert fold.state.due_fit == DueFit(24, 15), "of the rows kept when the last one came into force"


@pytest.mark.usefixtures("leads_of_few_rows")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(POLICIES, st.lists(RECORDS, max_size=14), st.lists(st.tuples(st.integers(1, 8), st.integers(0, 6)), max_size=4))
def test_a_log_decided_with_crashes_is_decided_as_in_one_go(
    some: Policy, log: list[InstructionsGenerated | None], crashes: list[tuple[int, int]]
) -> None:
    """Given crashes after so many records each, of which the table lost the last few, then all that is ever said of an
    offset is what one undisturbed pass says, and so is the state."""
    run = small_run(some)
    whole = in_one_go(run, log)
    table: list[bytes] = []
    recorded: list[ClassifierFitted] = []
    for records, lost in [*crashes, (len(log), 0)]:
        state, known = recovered(run, table, recorded)
        due = decider.due_classifier(state) if state.applied + 1 not in known else None
        for event in log[state.applied + 1 :][:records]:
            if due is not None:
                recorded.append(due)
                known[due.from_offset] = due
                decider.use_classifier(state, due)
            offset = state.applied + 1
            if event is None:
                verdict = decider.empty_verdict(state, offset)
            else:
                verdict = decider.decide(state, offset, ids.generation_id(event.lane, event.number), event)
            assert verdict == whole.verdicts[offset]
            table.append(msgspec.json.encode(verdict.decision))
            decider.apply(state, verdict.decision)
            if offset + 1 in known:
                decider.use_classifier(state, known[offset + 1])
                due = None
            else:
                due = decider.due_classifier(state)
        if lost:
            del table[-lost:]
    assert len(table) == len(log)
    assert [event.from_offset for event in recorded] == [
        event.from_offset for event in whole.classifiers if event.from_offset < len(log)
    ]
    assert (state.kept, state.scores, state.lanes) == (whole.state.kept, whole.state.scores, whole.state.lanes)


@settings(max_examples=40, deadline=None)
@given(POLICIES, st.lists(RECORDS, max_size=14))
def test_every_instruction_gets_one_verdict_and_no_two_kept_ones_are_alike(
    some: Policy, log: list[InstructionsGenerated | None]
) -> None:
    fold = in_one_go(small_run(some), log)
    taken: set[tuple[str, int]] = set()
    credits: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for event, verdict in zip(log, fold.verdicts, strict=True):
        new = event is not None and (event.lane, event.number) not in taken
        count = len(event.instructions) if event is not None and new else 0
        places = [row.place for row in verdict.decision.kept] + [r.place for r in verdict.rejected.rejections]
        assert sorted(places) == list(range(count))
        assert (verdict.rejected.generated, verdict.rejected.kept) == (count, len(verdict.decision.kept))
        if event is not None and new:
            taken.add((event.lane, event.number))
            counted = [r for r in verdict.rejected.rejections if r.reason == "similar" or some.count_rule_rejections]
            credits.update(dict.fromkeys(set(event.seed_ids), len(verdict.decision.kept) + len(counted)))
            shown.update(set(event.seed_ids))
    assert fold.state.generated_total == sum(verdict.rejected.generated for verdict in fold.verdicts)
    assert {id: score.generated for id, score in fold.state.scores.items()} == credits
    assert {id: score.shown for id, score in fold.state.scores.items()} == shown
    assert all(isinstance(score, SeedScore) and score.kept <= score.generated for score in fold.state.scores.values())
    if some.tokenizer == "rouge":
        texts = [row.instruction for row in fold.state.kept.values()]
        for place, text in enumerate(texts):
            for earlier in texts[:place]:
                assert SCORER.score(earlier, text)["rougeL"].fmeasure <= some.threshold


# -- rouge_score itself --------------------------------------------------------------------------------------------


def ties() -> Iterator[str]:
    """Pairs of m and n tokens with 7 in common, whose F is 0.7 except for the last bit."""
    for pair, (m, n) in enumerate([(9, 11), (8, 12), (7, 13), (10, 10)]):
        shared = [f"p{pair}s{k}" for k in range(7)]
        yield " ".join(shared + [f"p{pair}a{k}" for k in range(m - 7)])
        yield " ".join(shared + [f"p{pair}b{k}" for k in range(n - 7)])


def judged(state: FilterState, texts: Sequence[str]) -> list[tuple[float, str] | None]:
    """The verdict on each text, in generations of different sizes: its nearest, or None when it was kept."""
    words: list[tuple[float, str] | None] = []
    number = 0
    while len(words) < len(texts):
        batch = texts[len(words) : len(words) + (1, 20, 7)[number % 3]]
        found: list[tuple[float, str] | None] = [None] * len(batch)
        for rejection in decided(state, generation(number, batch)).rejected.rejections:
            if rejection.reason == "no_tokens":
                found[rejection.place] = (0.0, "")
            else:
                assert rejection.similarity is not None and rejection.nearest_id is not None
                found[rejection.place] = rejection.similarity, state.kept[rejection.nearest_id].instruction
        words += found
        number += 1
    return words


def shared_tokens(token_lists: Sequence[list[str]]) -> csr_array:
    """How many tokens each pair of texts shares, repeats counted: at least the length of any common subsequence."""
    columns: dict[tuple[str, int], int] = {}
    cells: list[tuple[int, int]] = []
    for row, tokens in enumerate(token_lists):
        seen: Counter[str] = Counter()
        for token in tokens:
            cells.append((row, columns.setdefault((token, seen[token]), len(columns))))
            seen[token] += 1
    rows, places = np.array(cells).T
    return csr_array((np.ones(len(cells), np.int32), (rows, places)), shape=(len(token_lists), len(columns)))


class RougeReference:
    """The decisions of a plain loop over rouge_score's own functions; pairs with too few common tokens are skipped."""

    def __init__(self, texts: Sequence[str], lowest_threshold: float) -> None:
        self.texts = texts
        self.tokens = [rouge_tokens(text) for text in texts]
        self.near: list[list[int]] = []
        lengths = np.array([len(tokens) for tokens in self.tokens])
        matrix = shared_tokens(self.tokens)
        for start in range(0, len(texts), 500):
            block = (matrix[start : start + 500] @ matrix.T).toarray()
            # with l <= shared tokens, F = 2l / (m + n) cannot be above the threshold unless this holds
            close = 2 * block > (lowest_threshold - 1e-9) * (lengths + lengths[start : start + 500, None])
            self.near += [row.nonzero()[0].tolist() for row in close]
        self.scores: dict[tuple[int, int], float] = {}

    def fmeasure(self, earlier: int, later: int) -> float:
        pair = earlier, later
        if pair not in self.scores:
            self.scores[pair] = rouge_scorer._score_lcs(self.tokens[earlier], self.tokens[later]).fmeasure
        return self.scores[pair]

    def judged(self, threshold: float) -> list[tuple[float, str] | None]:
        kept: set[int] = set()
        words: list[tuple[float, str] | None] = []
        for later, tokens in enumerate(self.tokens):
            best: tuple[float, str] | None = None if tokens else (0.0, "")
            for earlier in self.near[later]:
                if earlier >= later or earlier not in kept:
                    continue
                fmeasure = self.fmeasure(earlier, later)
                if fmeasure > threshold and (best is None or fmeasure > best[0]):
                    best = fmeasure, self.texts[earlier]
            if best is None:
                kept.add(later)
            words.append(best)
        return words


def test_at_a_tie_the_last_bit_decides_as_in_rouge_score() -> None:
    texts = list(ties())
    words = judged(fresh_state(policy(0.7)), texts)
    assert [word is None for word in words] == [True, False, True, False, True, False, True, True]
    assert words == RougeReference(texts, 0.7).judged(0.7)


def with_variants(texts: Sequence[str]) -> list[str]:
    """The texts, and after every second one a variant of an earlier one: words left out, replaced or moved.

    The public instructions were themselves filtered at 0.7, so hardly any two of them are alike.
    """
    mixed = []
    for place, text in enumerate(texts):
        mixed.append(text)
        if place % 2 and (words := texts[place * 7919 % (place + 1)].split()):
            for change in range(place % 5):
                at = (place * 31 + change * 17) % len(words)
                match (place // 2 + change) % 3:
                    case 0:
                        words[at] = f"x{place}"
                    case 1:
                        words.insert(at, f"y{change}")
                    case _:
                        words.append(words.pop(at))
            mixed.append(" ".join(words))
    return mixed


def test_on_5000_real_instructions_every_decision_is_rouge_scores(classic_instructions: list[str]) -> None:
    """The same are kept, and what is rejected is so with the same score and because of the same kept instruction."""
    texts = [*with_variants(classic_instructions[:5000]), *ties(), "東京タワー", "..."]
    reference = RougeReference(texts, 0.7)
    for threshold in (0.7, 0.85):
        words = judged(fresh_state(policy(threshold)), texts)
        assert words == reference.judged(threshold)
        assert 1000 < sum(word is not None for word in words) < 3000, "both verdicts are common here"


def test_a_seed_with_the_id_of_an_instruction_of_this_run_does_no_harm() -> None:
    twin = SeedTask(id=ids.instruction_id(ids.generation_id("g0", 0), 0), instruction="Describe how bees make honey.")
    policy = policy_for("self-instruct")
    state = decider.initial_state(RunConfigured(run="r", policy=policy, seeds=(twin,), versions={}))
    decider.use_classifier(state, decider.first_classifier(policy, [twin]))
    first = generation(0, ["Plan a walk along the river.", "Describe how the bees make honey."])
    verdict = decider.decide(state, 0, ids.generation_id("g0", 0), first)
    decider.apply(state, verdict.decision)
    assert [row.place for row in verdict.decision.kept] == [0]
    assert verdict.rejected.rejections[0].nearest_id == twin.id
