"""The seed pool: a fold of its commands, with reproducible samples."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Replacement, ReplaceSeeds
from schemas.seeds import SeedTask
from streams.core.seeds import SeedPool
from tests.unit.core.conftest import seeds_of


def pool_of(count: int) -> SeedPool:
    return SeedPool.of(seeds_of(*(f"seed number {n}" for n in range(count))))


def command(*changes: tuple[str, str], window: int = 1, epoch: int = 1, training_offset: int = 0) -> ReplaceSeeds:
    """Replace each victim by a new seed, both by id."""
    return ReplaceSeeds(
        window=window,
        epoch=epoch,
        training_offset=training_offset,
        as_of_offset=0,
        outcome="replaced" if changes else "no_candidates",
        metric="grad_norm",
        replacements=tuple(
            Replacement(
                victim_id=victim,
                victim_generated=4,
                victim_kept=1,
                seed=SeedTask(id=new, instruction=f"the text of {new}"),
            )
            for victim, new in changes
        ),
    )


def active(pool: SeedPool) -> list[str]:
    return [seed.task.id for seed in pool.active]


def sampled(pool: SeedPool, count: int, rng_seed: int, lane: str, number: int) -> list[str]:
    return [task.id for task in pool.sample(count, rng_seed, lane, number)]


def test_a_new_seed_takes_the_place_of_its_victim_and_the_others_stay() -> None:
    pool = pool_of(5)
    assert pool.apply(command(("s3", "new-a"), ("s0", "new-b"), training_offset=6), offset=2)
    assert active(pool) == ["new-b", "s1", "s2", "new-a", "s4"]
    assert [(seed.since_offset, seed.age) for seed in pool.active] == [(2, 6), (-1, 1), (-1, 2), (2, 5), (-1, 4)]
    assert [(id, gone.at, gone.seed.since_offset) for id, gone in pool.evicted.items()] == [
        ("s3", 2, -1),
        ("s0", 2, -1),
    ]
    assert (pool.commands_offset, pool.training_offset, pool.windows) == (2, 6, {(1, 1)})


def test_a_replaced_seed_is_still_found_by_its_id_and_an_unknown_one_is_not() -> None:
    pool = pool_of(2)
    pool.apply(command(("s0", "new")), offset=0)
    assert [task and task.instruction for task in map(pool.get, ("s0", "s1", "new", "other"))] == [
        "seed number 0",
        "seed number 1",
        "the text of new",
        None,
    ]


def test_newer_seeds_are_of_higher_age_numbers_over_several_commands() -> None:
    pool = pool_of(3)
    pool.apply(command(("s0", "a"), window=1), offset=0)
    pool.apply(command(("a", "b"), ("s2", "c"), window=2), offset=1)
    assert [(seed.task.id, seed.age) for seed in pool.active] == [("b", 4), ("s1", 1), ("c", 5)]


def test_a_command_that_comes_again_is_ignored() -> None:
    pool = pool_of(3)
    first, second = command(("s0", "a"), window=1), command(("a", "b"), window=2)
    assert [pool.apply(first, 0), pool.apply(second, 1)] == [True, True]
    assert [pool.apply(first, 0), pool.apply(second, 1), pool.apply(first, 1)] == [False, False, False]
    assert not pool.apply(command(("s1", "c"), window=3), 1), "another command cannot lie at the same offset"
    assert (active(pool), pool.windows) == (["b", "s1", "s2"], {(1, 1), (1, 2)})


def test_of_two_answers_to_one_window_the_first_counts() -> None:
    pool = pool_of(3)
    assert pool.apply(command(("s0", "a"), window=4), offset=0)
    assert not pool.apply(command(("s1", "b"), window=4), offset=1)
    assert active(pool) == ["a", "s1", "s2"]
    assert pool.commands_offset == 1
    assert pool.apply(command(("s1", "b"), window=4, epoch=2), offset=2), "the same window of another epoch is another"


def test_a_command_without_replacements_answers_its_window() -> None:
    pool = pool_of(2)
    assert pool.apply(command(window=3, training_offset=9), offset=5)
    assert (active(pool), pool.training_offset, pool.windows) == (["s0", "s1"], 9, {(1, 3)})


def test_a_victim_that_is_not_in_the_pool_loses_nothing_to_anybody() -> None:
    pool = pool_of(2)
    pool.apply(command(("gone", "a"), ("s1", "b")), offset=0)
    assert active(pool) == ["s0", "b"]


def test_one_victim_makes_room_for_one_new_seed_only() -> None:
    pool = pool_of(2)
    pool.apply(command(("s1", "a"), ("s1", "b")), offset=0)
    assert active(pool) == ["s0", "a"]
    assert pool.evicted["s1"].seed.task.id == "s1"


def test_samples_are_these_on_every_platform_and_version() -> None:
    pool = pool_of(175)
    assert {
        "g0/0": sampled(pool, 3, 42, "g0", 0),
        "g0/1": sampled(pool, 3, 42, "g0", 1),
        "g1/0": sampled(pool, 3, 42, "g1", 0),
        "7/g0/0": sampled(pool, 3, 7, "g0", 0),
    } == {
        "g0/0": ["s78", "s170", "s137"],
        "g0/1": ["s45", "s88", "s131"],
        "g1/0": ["s149", "s124", "s142"],
        "7/g0/0": ["s142", "s47", "s108"],
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 12), st.integers(), st.text(max_size=5), st.integers(0, 10**6))
def test_a_sample_is_without_replacement_and_of_the_whole_pool_if_that_is_smaller(
    size: int, count: int, rng_seed: int, lane: str, number: int
) -> None:
    pool = pool_of(size)
    sample = sampled(pool, count, rng_seed, lane, number)
    assert len(set(sample)) == len(sample) == min(count, size)
    assert set(sample) <= set(active(pool))
    assert sample == sampled(pool, count, rng_seed, lane, number)


def test_each_seed_is_shown_about_equally_often_at_each_place() -> None:
    """Given 6,000 generations of 3 of 20 seeds, then each fills each place 300 times, give or take 5 deviations."""
    pool = pool_of(20)
    seen = Counter((place, id) for number in range(6000) for place, id in enumerate(sampled(pool, 3, 42, "g0", number)))
    deviation = (6000 * 0.05 * 0.95) ** 0.5
    assert len(seen) == 60
    assert all(abs(times - 300) < 5 * deviation for times in seen.values())


def test_a_replaced_seed_is_shown_no_more_and_its_successor_is_shown_in_its_stead() -> None:
    pool = pool_of(4)
    before = [sampled(pool, 2, 42, "g0", number) for number in range(50)]
    pool.apply(command(("s2", "new")), offset=0)
    after = [sampled(pool, 2, 42, "g0", number) for number in range(50)]
    assert after == [["new" if id == "s2" else id for id in sample] for sample in before]
    assert any("new" in sample for sample in after)
