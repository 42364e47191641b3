"""The feedback of a training window to the seed pool: the batch, the candidates, the victims, and the exceptions."""

from collections.abc import Mapping, Sequence

import pytest
from rouge_score.rouge_scorer import RougeScorer

from schemas.events import BatchRow, Candidate, InstructionKept, ReplaceSeeds, StepLogged, TrainingLogged
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core.feedback import answer, choose_step, metric_of, needed_offset
from streams.core.scores import SeedScore
from streams.core.seeds import SeedPool
from tests.unit.core.conftest import seeds_of

SCORER = RougeScorer(["rougeL"])
POLICY = Policy()

SEED_TEXTS = ("one two three four five six seven eight nine ten", "red orange yellow green", "north east south west")
NEW_TEXTS = (
    "apples pears plums grapes",
    "oak ash elm birch pine",
    "copper silver gold iron tin",
    "do re mi fa so la ti",
)


def kept_rows(*texts: str) -> dict[str, InstructionKept]:
    """Kept instructions k0, k1, ... with these texts."""
    return {
        f"k{place}": InstructionKept(
            id=f"k{place}",
            instruction=text,
            input=f"input {place}",
            output=f"output {place}",
            generation_id="g",
            generated_offset=10 + place,
            place=place,
            cluster=0,
            classifier_offset=0,
        )
        for place, text in enumerate(texts)
    }


def step(
    number: int,
    rows: Sequence[str] = (),
    *,
    grad_norm: float | None = 1.0,
    loss_variance: float | None = 1.0,
    offsets: Sequence[int] | None = None,
) -> StepLogged:
    return StepLogged(
        step=number,
        loss=1.0,
        loss_variance=loss_variance,
        grad_norm=grad_norm,
        learning_rate=0.1,
        tokens=1,
        seconds=0.1,
        rows=tuple(
            BatchRow(id=id, slot=slot, cluster=slot, generated_offset=offsets[slot] if offsets else 0)
            for slot, id in enumerate(rows)
        ),
    )


def window(*steps: StepLogged, number: int = 1, epoch: int = 1) -> TrainingLogged:
    return TrainingLogged(window=number, epoch=epoch, model="tiny", steps=steps)


def scores(**values: tuple[int, int]) -> dict[str, SeedScore]:
    """Scores by seed id, given as (kept, generated)."""
    return {id: SeedScore(generated, kept, 0, shown=1) for id, (kept, generated) in values.items()}


ALL_SCORED = scores(s0=(3, 4), s1=(1, 4), s2=(2, 4))


def answered(
    *rows: str,
    texts: Sequence[str] = NEW_TEXTS,
    pool: SeedPool | None = None,
    scored: Mapping[str, SeedScore] = ALL_SCORED,
    policy: Policy = POLICY,
) -> ReplaceSeeds:
    """The answer to a window whose one batch has these rows."""
    pool = SeedPool.of(seeds_of(*SEED_TEXTS)) if pool is None else pool
    return answer(policy, pool, scored, kept_rows(*texts), window(step(11, rows)), training_offset=7, as_of_offset=99)


def verdicts(command: ReplaceSeeds) -> list[tuple[str, str]]:
    return [(candidate.id, candidate.verdict) for candidate in command.candidates]


# -- which batch ---------------------------------------------------------------------------------------------------


def test_the_batch_with_the_highest_metric_of_the_window_is_chosen() -> None:
    steps = [step(11, grad_norm=2.0), step(12, grad_norm=5.0), step(13, grad_norm=3.0)]
    assert choose_step(POLICY, window(*steps)) == (steps[1], 5.0)


def test_of_equal_batches_the_earlier_is_chosen() -> None:
    steps = [step(11, grad_norm=2.0), step(12, grad_norm=5.0), step(13, grad_norm=5.0)]
    assert choose_step(POLICY, window(*steps)) == (steps[1], 5.0)


@pytest.mark.parametrize(
    ("metric", "chosen", "value"), [("grad_norm", 11, 5.0), ("loss_variance", 12, 7.0), ("sum", 13, 9.5)]
)
def test_each_metric_chooses_its_own_batch(metric: str, chosen: int, value: float) -> None:
    steps = [
        step(11, grad_norm=5.0, loss_variance=1.0),
        step(12, grad_norm=1.0, loss_variance=7.0),
        step(13, grad_norm=4.5, loss_variance=5.0),
    ]
    found = choose_step(policy_for(metric=metric), window(*steps))
    assert found is not None and (found[0].step, found[1]) == (chosen, value)


def test_the_random_metric_is_the_same_each_time_and_another_for_another_rng_seed() -> None:
    """And looks at neither norm nor variance, so that it is a control for both."""
    steps = [step(number, grad_norm=None, loss_variance=None) for number in range(11, 21)]
    values = [metric_of(policy_for(metric="random"), one) for one in steps]
    assert values == [metric_of(policy_for(metric="random"), step(number)) for number in range(11, 21)]
    assert values != [metric_of(policy_for(metric="random", rng_seed=7), one) for one in steps]
    assert len(set(values)) == 10 and all(value is not None and 0.0 <= value < 1.0 for value in values)
    chosen = {
        found[0].step % 10
        for number in range(1, 60)
        if (found := choose_step(policy_for(metric="random"), window(*(step(10 * number + k) for k in range(1, 11)))))
    }
    assert chosen == set(range(10)), "every place of a window has its turn"


@pytest.mark.parametrize(
    ("metric", "grad_norm", "loss_variance"),
    [("grad_norm", None, 1.0), ("loss_variance", 1.0, None), ("sum", None, 9.0), ("sum", 9.0, None)],
)
def test_a_batch_whose_metric_was_not_finite_is_passed_over(
    metric: str, grad_norm: float | None, loss_variance: float | None
) -> None:
    unfinite = step(11, grad_norm=grad_norm, loss_variance=loss_variance)
    finite = step(12, grad_norm=0.5, loss_variance=0.5)
    policy = policy_for(metric=metric)
    found = choose_step(policy, window(unfinite, finite))
    assert found is not None and found[0] is finite
    command = answer(policy, SeedPool.of(()), {}, {}, window(unfinite), training_offset=0, as_of_offset=0)
    assert (command.outcome, command.step, command.value) == ("no_metric", None, None)


def test_a_metric_of_zero_is_a_number() -> None:
    assert choose_step(POLICY, window(step(11, grad_norm=0.0))) == (step(11, grad_norm=0.0), 0.0)


def test_windows_of_the_warm_up_never_choose() -> None:
    rows = list(kept_rows(*NEW_TEXTS))
    steps = [step(number, rows, grad_norm=99.0) for number in range(1, 11)]
    command = answer(
        POLICY, SeedPool.of(seeds_of(*SEED_TEXTS)), ALL_SCORED, kept_rows(*NEW_TEXTS), window(*steps, number=0), 0, 99
    )
    assert (command.outcome, command.step, command.candidates, command.replacements) == ("warm_up", None, (), ())


def test_a_window_that_is_partly_warm_up_chooses_among_its_other_steps() -> None:
    policy = policy_for(warm_up_steps=15)
    steps = [step(number, grad_norm=100.0 - number) for number in range(11, 21)]
    found = choose_step(policy, window(*steps))
    assert found is not None and found[0].step == 16
    found = choose_step(policy_for(warm_up_steps=0), window(*steps))
    assert found is not None and found[0].step == 11


def test_later_epochs_change_nothing() -> None:
    command = answer(
        POLICY,
        SeedPool.of(seeds_of(*SEED_TEXTS)),
        ALL_SCORED,
        kept_rows(*NEW_TEXTS),
        window(step(11, ["k0"]), epoch=2, number=4),
        training_offset=12,
        as_of_offset=99,
    )
    assert (command.outcome, command.epoch, command.window, command.training_offset) == ("later_epoch", 2, 4, 12)
    assert command.replacements == ()


def test_a_command_says_which_window_step_and_value_it_answers_and_as_of_when() -> None:
    pool = SeedPool.of(seeds_of(*SEED_TEXTS))
    steps = window(step(21, ["k0"], grad_norm=2.5), step(22, ["k1"], grad_norm=1.5), number=2)
    command = answer(POLICY, pool, ALL_SCORED, kept_rows(*NEW_TEXTS), steps, training_offset=5, as_of_offset=77)
    assert (command.window, command.epoch, command.training_offset, command.as_of_offset) == (2, 1, 5, 77)
    assert (command.outcome, command.metric, command.step, command.value) == ("replaced", "grad_norm", 21, 2.5)
    assert verdicts(command) == [("k0", "taken")], "only rows of the chosen batch are candidates"


def test_the_filter_must_have_applied_all_that_the_window_was_trained_on() -> None:
    trained = window(step(11, ["k0", "k1"], offsets=[4, 31]), step(12, ["k2"], offsets=[8]))
    assert needed_offset(trained) == 31
    assert needed_offset(window(step(11))) == -1


# -- which candidates ----------------------------------------------------------------------------------------------


def test_a_row_that_is_like_a_seed_is_dropped_with_its_nearest() -> None:
    like = "one two three four five six seven eight and more"
    command = answered("k0", "k1", texts=(like, NEW_TEXTS[1]))
    fmeasure = SCORER.score(SEED_TEXTS[0], like)["rougeL"].fmeasure
    assert command.candidates[0] == Candidate(id="k0", verdict="similar_to_seed", similarity=fmeasure, nearest_id="s0")
    assert verdicts(command)[1] == ("k1", "taken")


def test_a_row_that_is_like_a_candidate_already_taken_is_dropped_with_its_nearest() -> None:
    command = answered("k0", "k1", "k2", texts=(NEW_TEXTS[1], NEW_TEXTS[0], "oak ash elm birch yew"))
    assert verdicts(command) == [("k0", "taken"), ("k1", "taken"), ("k2", "similar_to_candidate")]
    assert (command.candidates[2].nearest_id, command.candidates[2].similarity) == ("k0", pytest.approx(0.8))


def test_a_row_that_is_like_a_dropped_one_only_is_taken() -> None:
    near_the_seed, near_that = "one two three four five six seven eight a b", "four five six seven eight a b c d e"
    command = answered("k0", "k1", texts=(near_the_seed, near_that))
    assert SCORER.score(near_the_seed, near_that)["rougeL"].fmeasure >= 0.7
    assert verdicts(command) == [("k0", "similar_to_seed"), ("k1", "taken")]


def test_the_same_row_twice_in_a_batch_becomes_one_seed() -> None:
    command = answered("k0", "k0")
    assert verdicts(command) == [("k0", "taken"), ("k0", "similar_to_candidate")]


@pytest.mark.parametrize("common", range(3, 10))
@pytest.mark.parametrize("to_seed", [True, False])
def test_a_row_exactly_at_the_threshold_is_taken_and_one_above_it_is_not(common: int, to_seed: bool) -> None:
    base = "b0 b1 b2 b3 b4 b5 b6 b7 b8 b9"
    row = " ".join(base.split()[:common] + [f"x{k}" for k in range(10 - common)])
    pool = SeedPool.of(seeds_of(base if to_seed else SEED_TEXTS[0]))
    fmeasure = SCORER.score(base, row)["rougeL"].fmeasure
    for threshold, taken in ((fmeasure, True), (fmeasure - 1e-9, False)):
        policy = policy_for(candidate_threshold=threshold)
        found = answered("k1", "k0", texts=(row, NEW_TEXTS[0] if to_seed else base), pool=pool, policy=policy)
        assert (found.candidates[1].verdict in {"taken", "no_victim"}) == taken


def test_seeds_that_were_replaced_are_no_longer_compared_with() -> None:
    pool = SeedPool.of(seeds_of(*SEED_TEXTS))
    first = answered("k0", pool=pool, scored=scores(s0=(0, 4)))
    assert [replacement.victim_id for replacement in first.replacements] == ["s0"]
    pool.apply(first, offset=0)
    assert verdicts(answered("k1", texts=("", SEED_TEXTS[0]), pool=pool)) == [("k1", "taken")]
    assert verdicts(answered("k1", texts=("", NEW_TEXTS[0]), pool=pool)) == [("k1", "similar_to_seed")]


def test_a_row_that_is_or_was_a_seed_is_not_taken_again() -> None:
    pool = SeedPool.of(seeds_of(*SEED_TEXTS))
    pool.apply(answered("k0", pool=pool), offset=0)
    assert verdicts(answered("k0", pool=pool)) == [("k0", "already_seed")]
    pool.apply(ReplaceSeeds(**{**_fields(answered("k1", pool=pool, scored=scores(k0=(0, 5)))), "window": 2}), offset=1)
    assert pool.evicted.keys() == {"s1", "k0"}
    assert verdicts(answered("k0", pool=pool)) == [("k0", "already_seed")]


def _fields(command: ReplaceSeeds) -> dict[str, object]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


def test_a_row_that_the_filter_does_not_know_is_named_as_such() -> None:
    command = answered("other", "k0")
    assert verdicts(command) == [("other", "unknown_row"), ("k0", "taken")]
    assert (command.candidates[0].similarity, command.candidates[0].nearest_id) == (None, None)


def test_the_policys_tokenizer_compares_candidates() -> None:
    pool = SeedPool.of(seeds_of("東京タワーの高さは"))
    texts, scored = ("東京タワーの高さ",), scores(s0=(1, 2))
    assert verdicts(answered("k0", texts=texts, pool=pool, scored=scored)) == [("k0", "taken")]
    assert verdicts(answered("k0", texts=texts, pool=pool, scored=scored, policy=policy_for(tokenizer="unicode"))) == [
        ("k0", "similar_to_seed")
    ]


# -- which victims -------------------------------------------------------------------------------------------------


def replaced(command: ReplaceSeeds) -> list[tuple[str, str]]:
    return [(replacement.victim_id, replacement.seed.id) for replacement in command.replacements]


def test_victims_go_lowest_score_first_one_for_one_with_the_candidates() -> None:
    assert replaced(answered("k3", "k1", "k0")) == [("s1", "k3"), ("s2", "k1"), ("s0", "k0")]
    assert replaced(answered("k3")) == [("s1", "k3")]


def test_the_score_counts_not_the_number_kept() -> None:
    assert replaced(answered("k0", scored=scores(s0=(9, 90), s1=(1, 2), s2=(2, 2)))) == [("s0", "k0")]


def test_of_equally_low_ones_the_older_goes() -> None:
    """Also when the newer stands at a place before it."""
    same = scores(s0=(1, 2), s1=(2, 4), s2=(1, 2), k0=(3, 6))
    pool = SeedPool.of(seeds_of(*SEED_TEXTS))
    assert replaced(answered("k0", pool=pool, scored=same)) == [("s0", "k0")]
    pool.apply(answered("k0", pool=pool, scored=same), offset=0)
    assert [seed.task.id for seed in pool.active] == ["k0", "s1", "s2"]
    assert replaced(answered("k1", "k2", "k3", pool=pool, scored=same)) == [("s1", "k1"), ("s2", "k2"), ("k0", "k3")]


def test_a_seed_from_which_nothing_was_generated_is_safe() -> None:
    scored = scores(s0=(1, 1), s1=(0, 0))
    command = answered("k0", "k1", "k2", scored=scored)
    assert replaced(command) == [("s0", "k0")], "s1 was shown without result, s2 never"


def test_with_fewer_victims_than_candidates_the_first_of_the_batch_go_in_and_the_rest_find_no_victim() -> None:
    command = answered("k2", "k0", "k3", "k1", scored=scores(s0=(1, 2), s2=(0, 2)))
    assert replaced(command) == [("s2", "k2"), ("s0", "k0")]
    assert verdicts(command) == [("k2", "taken"), ("k0", "taken"), ("k3", "no_victim"), ("k1", "no_victim")]
    assert command.outcome == "replaced"


def test_a_replacement_holds_the_whole_task_and_the_victims_score() -> None:
    (replacement,) = answered("k2").replacements
    assert (replacement.victim_generated, replacement.victim_kept) == (4, 1)
    assert replacement.seed == SeedTask(id="k2", instruction=NEW_TEXTS[2], input="input 2", output="output 2")


# -- outcomes ------------------------------------------------------------------------------------------------------


def test_without_a_candidate_the_outcome_says_so() -> None:
    command = answered("other", "k0", texts=(SEED_TEXTS[0],))
    assert (command.outcome, command.replacements, command.step) == ("no_candidates", (), 11)
    assert answered().outcome == "no_candidates"


def test_without_a_victim_the_outcome_says_so() -> None:
    command = answered("k0", "k1", scored={})
    assert (command.outcome, command.replacements) == ("no_victims", ())
    assert verdicts(command) == [("k0", "no_victim"), ("k1", "no_victim")]


def test_answering_changes_neither_pool_nor_scores_and_answers_the_same_again() -> None:
    pool, scored = SeedPool.of(seeds_of(*SEED_TEXTS)), dict(ALL_SCORED)
    commands = [answered("k0", "k1", pool=pool, scored=scored) for _ in range(2)]
    assert commands[0] == commands[1]
    assert pool == SeedPool.of(seeds_of(*SEED_TEXTS)) and scored == ALL_SCORED
