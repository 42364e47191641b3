"""Runs side by side: each counted once, against the first, and at the same number of kept."""

import msgspec
import pytest

from consumers.compare import compare
from consumers.compare.side import Point, read_side
from consumers.compare.tables import tables
from infra.log.record import Record
from schemas.errors import ConfigurationError, RunError
from schemas.events import CallAnswered, InstructionsGenerated, InstructionsRejected
from tests.unit.consumers.recorded_run import (
    CHESS,
    LETTER,
    POEM,
    RIVERS,
    TREES,
    MemorySource,
    ToldRun,
    source_of,
    whole_run,
)


def short_run(run: str = "mine") -> ToldRun:
    """Five kept in two calls."""
    story = ToldRun(run)
    story.generation(0, [RIVERS, POEM, LETTER])
    story.generation(1, [TREES, CHESS])
    return story


def test_a_side_counts_what_is_decided_and_every_answer() -> None:
    side = read_side(source_of(whole_run())).side

    assert (side.generated, side.kept, side.kept_share) == (10, 5, 0.5)
    assert side.rejected == {"too_short": 4, "similar": 1}
    assert (side.calls.started, side.calls.answered, side.calls.failed) == (7, 6, 1)
    assert (side.prompt_tokens, side.completion_tokens) == (3015, 375)
    assert side.usd == pytest.approx(0.021)


def test_the_curve_has_the_sums_at_each_decided_generation() -> None:
    side = read_side(source_of(whole_run())).side

    assert [(point.generated, point.kept, point.calls, point.tokens) for point in side.curve] == [
        (2, 2, 1, 560),
        (5, 3, 2, 1122),
        (6, 4, 3, 1686),
        (8, 5, 4, 2252),
        (10, 5, 5, 2820),
    ]
    assert [point.usd for point in side.curve] == pytest.approx([0.001, 0.003, 0.006, 0.010, 0.015])


def test_rows_of_a_generation_that_the_filter_is_not_done_with_do_not_count_yet() -> None:
    story = short_run()
    assert isinstance(story.written.pop().event, InstructionsRejected)

    side = read_side(source_of(story)).side

    assert (side.generated, side.kept, side.curve[-1].kept) == (3, 3, 3)
    assert side.diversity.words.with_verb == 3
    assert side.diversity.nearest.sampled == 2


def test_a_log_in_which_everything_stands_twice_gives_the_same() -> None:
    source = source_of(whole_run())
    again: dict[tuple[str, int], list[Record]] = {}
    for record in source.records:
        again.setdefault(record.place, []).append(record)
    doubled = [
        Record(r.topic, r.partition, offset, r.timestamp_ms, r.key, r.value, r.headers)
        for (topic, _), records in again.items()
        # The filter counts offsets of `generated`: repeats there would need its word on each of them.
        for offset, r in enumerate(records if topic == "generated" else records * 2)
    ]

    assert read_side(MemorySource(doubled)).side == read_side(source).side


def test_what_an_endpoint_does_not_say_is_unknown_and_no_zero() -> None:
    story = short_run()
    answer = story.generations_written()[0].answers[0]
    silent = msgspec.structs.replace(answer, usage=None, cost_usd=None)
    story.change(InstructionsGenerated, 0, answers=(silent,), cost_usd=None)
    story.change(CallAnswered, 0, usage=None, cost_usd=None)

    found = compare([source_of(whole_run()), source_of(story)])

    assert (found.sides[1].prompt_tokens, found.sides[1].completion_tokens, found.sides[1].usd) == (None, None, None)
    assert found.sides[1].curve[-1] == Point(generated=5, kept=5, calls=2, tokens=None, usd=None)
    for spent in (found.spent[1], found.at_common[1]):
        assert (spent.tokens, spent.tokens_per_1000_kept, spent.tokens_ratio) == (None, None, None)
        assert (spent.usd, spent.usd_per_1000_kept, spent.usd_ratio) == (None, None, None)
        assert spent.calls_per_1000_kept == 400


def test_runs_are_compared_with_the_first_whole_and_at_the_same_number_of_kept() -> None:
    longer = short_run()
    longer.generation(2, ["Invent a board game about the tides for two players"])

    found = compare([source_of(whole_run()), source_of(longer)])

    assert [spent.calls_per_1000_kept for spent in found.spent] == [1200, 500]
    assert [spent.calls_ratio for spent in found.spent] == [1, pytest.approx(500 / 1200)]
    assert found.common_kept == 5
    assert [(spent.kept, spent.generated, spent.calls) for spent in found.at_common] == [(5, 8, 4), (5, 5, 2)]
    assert [spent.calls_ratio for spent in found.at_common] == [1, 0.5]
    assert found.at_common[1].usd_ratio == pytest.approx(0.003 / 0.010)
    assert found.at_common[1].tokens_ratio == pytest.approx(1122 / 2252)


def test_every_run_is_opened_for_its_configuration_and_read_once() -> None:
    sources = [source_of(whole_run()), source_of(short_run())]
    compare(sources)
    assert [source.opened for source in sources] == [2, 2]


def test_a_run_that_kept_nothing_has_no_cost_of_a_kept_one() -> None:
    empty = ToldRun("empty")
    empty.generation(0, ["Go on"])

    found = compare([source_of(empty), source_of(short_run())])

    assert found.common_kept == 0
    assert [spent.calls_per_1000_kept for spent in found.spent] == [None, 400]
    assert [spent.calls_ratio for spent in found.spent] == [None, None]
    assert found.sides[0].diversity.nearest.mean is None
    assert tables(found)


def test_a_run_of_nothing_but_its_configuration_can_be_compared() -> None:
    found = compare([source_of(ToldRun("new")), source_of(short_run())])
    assert (found.sides[0].curve, found.sides[0].seeds, found.sides[0].kept_share) == ((), (), None)


def test_seeds_that_were_shown_stand_by_score_also_those_that_were_replaced() -> None:
    side = read_side(source_of(whole_run())).side

    scores = [seed.score for seed in side.seeds]
    assert scores == sorted(scores)
    assert {seed.in_pool for seed in side.seeds} == {True, False}
    rivers = next(seed for seed in side.seeds if seed.instruction == RIVERS)
    assert not rivers.in_pool
    assert rivers.score == rivers.kept / rivers.generated


def test_runs_of_one_name_are_told_apart() -> None:
    found = compare([source_of(whole_run()), source_of(whole_run()), source_of(short_run())])
    assert [side.name for side in found.sides] == ["demo", "demo (2)", "mine"]


def test_one_run_alone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 runs were given to compare"):
        compare([source_of(whole_run())])


def test_a_run_that_is_not_there_is_told() -> None:
    with pytest.raises(RunError):
        compare([source_of(whole_run()), MemorySource([])])


def test_the_tables_say_what_was_saved() -> None:
    found = compare([source_of(whole_run()), source_of(short_run())])
    rows = {row[0]: row[1:] for row in tables(found)[0].rows}

    assert rows["calls per 1,000 kept"] == ("800.0 (× 1.000)", "400.0 (× 0.500)")
    assert rows["USD per 1,000 kept"] == ("$2.0000 (× 1.000)", "$0.6000 (× 0.300)")
    seeds = tables(found)[-2]
    assert seeds.title.startswith("Run demo: lowest and highest scores")
    assert [row[0] for row in seeds.rows] == sorted(row[0] for row in seeds.rows)


def test_a_long_run_has_a_curve_of_some_hundred_points_that_ends_where_it_does() -> None:
    story = ToldRun("long")
    for number in range(451):
        story.generation(number, ["Go on"])

    course = read_side(source_of(story))

    assert len(course.points) == 451
    assert 100 <= len(course.side.curve) <= 201
    assert course.side.curve[-1] == Point(**course.points.row(-1, named=True))
