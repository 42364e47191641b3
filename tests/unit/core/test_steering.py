"""Seeds that brought more are shown more, lists follow the yield, and all of it follows from the verdicts alone."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import Policy, policy_for
from streams.core.draws import beta, natural_log, uniforms
from streams.core.kept_so_far import KeptText
from streams.core.steering import SteeringHistory, steers
from streams.core.yield_level import WINDOW, list_length_at, temperature_at

POOL = [f"s{n}" for n in range(20)]
PARAMETERS = {"list_temperature": 0.9, "asked": 7}


def history(policy: Policy, kept_of_ten: dict[str, int], rounds: int = 1) -> SteeringHistory:
    """Each of these seeds was shown alone, ten instructions at a time."""
    made = SteeringHistory(policy)
    for offset, (seed, kept) in enumerate(list(kept_of_ten.items()) * rounds):
        rows = [(0, KeptText(f"k{offset}-{n}", f"Do {n}.")) for n in range(kept)]
        made.decide(offset, "main", offset, [seed], generated=10, kept=kept, rows=rows)
    return made


def shown(made: SteeringHistory, generations: int, as_of: int | None = None, lane: str = "main") -> Counter[str]:
    at = made.as_of if as_of is None else as_of
    return Counter(POOL[slot] for number in range(generations) for slot in made.choose(POOL, lane, number, at))


@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 9), (81, 220), (3, 1)])
def test_beta_numbers_have_the_mean_variance_and_range_of_the_distribution(a: int, b: int) -> None:
    drawn = [beta(a, b, uniforms(f"{a}/{b}/{n}")) for n in range(4_000)]
    mean, variance = a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))
    assert abs(sum(drawn) / 4_000 - mean) < 4 * math.sqrt(variance / 4_000)
    assert sum((one - mean) ** 2 for one in drawn) / 4_000 == pytest.approx(variance, rel=0.15)
    if b == 1:  # its distribution function is x**a
        assert sum(one < 0.5 for one in drawn) / 4_000 == pytest.approx(0.5**a, abs=0.03)
    assert beta(2, 3, uniforms("x")) == 0.05524192165815926, "the same on every platform"


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_the_logarithm_is_right_to_the_last_places(value: float) -> None:
    assert natural_log(value) == pytest.approx(math.log(value), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("choice", ["thompson", "ucb"])
def test_better_seeds_are_shown_more_and_none_starves_before_it_was_tried(choice: str) -> None:
    policy = policy_for(seed_choice=choice)
    made = history(policy, {seed: 9 if n < 5 else 1 for n, seed in enumerate(POOL)}, rounds=10)
    found = shown(made, 200)
    assert sum(found[seed] for seed in POOL[:5]) > 0.75 * found.total()
    assert all(len(set(made.choose(POOL, "main", n, made.as_of))) == 3 for n in range(50))
    untried = history(policy, dict.fromkeys(POOL[1:], 3), rounds=10)
    uniform = 200 * policy.seeds_per_request / len(POOL)
    assert shown(untried, 200)["s0"] > 2 * uniform, "a seed that replaced another"


@pytest.mark.parametrize("choice", ["thompson", "ucb"])
def test_a_seed_that_the_llm_never_continues_does_not_stay_untried(choice: str) -> None:
    made = SteeringHistory(policy_for(seed_choice=choice))
    for offset in range(2_000):
        seed = POOL[offset % 20]
        brought = {} if seed == "s0" else {"generated": 10, "kept": 4}
        made.decide(offset, "main", offset, [seed], **brought)  # type: ignore[arg-type]
    found = shown(made, 200)
    assert found["s0"] < found.total() / len(POOL)
    assert made.trials(["s0"], 1_999)[0] == (100, 100, 0)


@pytest.mark.parametrize("choice", ["thompson", "ucb"])
def test_what_is_under_way_at_once_and_other_lanes_get_other_seeds(choice: str) -> None:
    made = history(policy_for(seed_choice=choice), dict.fromkeys(POOL, 5), rounds=3)
    assert len({tuple(made.choose(POOL, "main", number, made.as_of)) for number in range(16)}) > 12
    assert shown(made, 1, lane="other") != shown(made, 1)


@pytest.mark.parametrize("choice", ["uniform", "thompson", "ucb"])
def test_a_request_as_of_a_verdict_stays_the_same_when_more_is_decided(choice: str) -> None:
    policy = policy_for(seed_choice=choice, adapt=("temperature", "list_length"), hints=2)
    brought = {seed: n % 10 for n, seed in enumerate(POOL)}
    early, late = history(policy, brought, 2), history(policy, brought, 9)
    for number in range(10):
        assert early.choose(POOL, "main", number, early.as_of) == late.choose(POOL, "main", number, early.as_of)
        asked = [made.steering("two-step", PARAMETERS, "main", number, early.as_of) for made in (early, late)]
        assert asked[0] == asked[1]
    assert late.steering("two-step", PARAMETERS, "main", 0, -1).hint_ids == ()


def test_a_generation_that_is_there_twice_counts_once_and_one_without_seeds_not_at_all() -> None:
    made = SteeringHistory(policy_for(seed_choice="ucb", adapt=("temperature",)))
    for offset, (number, seeds) in enumerate([(0, ["s1"]), (0, ["s1"]), (-1, ["s1"]), (1, [])]):
        made.decide(offset, "main", number, seeds, generated=WINDOW, kept=0)
    assert made.trials(["s1"], 9) == [(1, WINDOW, 0)]
    assert (made.level(9), made.as_of) == (1, 3)


def test_the_level_rises_by_one_a_window_and_falls_only_beyond_the_margin() -> None:
    made = SteeringHistory(policy_for(adapt=("temperature", "list_length")))
    shares = [0.9, 0.1, 0.1, 0.1, 0.1, 0.25, 0.35, 0.5, 0.55, 0.65]
    levels = []
    for offset, share in enumerate(shares):
        made.decide(offset, "main", offset, ["s1"], generated=WINDOW, kept=round(WINDOW * share))
        levels.append(made.level(offset))
    assert levels == [0, 1, 2, 3, 3, 3, 2, 1, 1, 0]
    asked = made.steering("two-step", PARAMETERS, "main", 0, 3)
    assert (asked.temperature, asked.list_length) == (1.2, 4)
    assert made.steering("alpaca", {"temperature": 1.0}, "main", 0, 3).temperature is None
    assert [temperature_at(n, 1.9) for n in range(4)] == [1.9, 2.0, 2.0, 2.0]
    assert [list_length_at(3, own) for own in (1, 2, 8)] == [1, 1, 4]


def test_hints_are_of_the_fullest_cluster_and_vary_with_the_number() -> None:
    made = SteeringHistory(policy_for(hints=2))
    rows = [(n % 3 and 1, KeptText(f"k{n}", f"Do {n}.")) for n in range(30)]
    made.decide(0, "main", 0, ["s1"], generated=30, kept=30, rows=rows)
    drawn = {tuple(row.id for row in made.hints("main", number, 0)) for number in range(20)}
    assert len(drawn) > 10
    assert all(int(id[1:]) % 3 for ids in drawn for id in ids)


def test_the_defaults_steer_nothing() -> None:
    assert not steers(policy_for())
    assert all(
        steers(policy_for(**{n: v})) for n, v in (("seed_choice", "ucb"), ("adapt", ("temperature",)), ("hints", 1))
    )
