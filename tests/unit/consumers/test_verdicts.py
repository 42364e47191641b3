"""Every generated instruction is found to have exactly one verdict, or the fault is named."""

import random
from collections.abc import Callable

import pytest

from consumers.folds.run_fold import RunFold
from consumers.report import report_of
from schemas import ids
from schemas.events import InstructionsRejected
from schemas.policy import policy_with
from streams.core.scores import SeedScore
from tests.unit.consumers.recorded_run import POLICY, whole_run
from tests.unit.consumers.story import Story, short_run


def folded(story: Story) -> RunFold:
    fold = RunFold(story.configured)
    for record in story.records():
        fold.apply(record)
    return fold


def instruction(number: int, place: int) -> str:
    return ids.instruction_id(ids.generation_id("main", number), place)


def test_a_run_whose_every_instruction_was_decided_is_in_order() -> None:
    report = report_of(folded(short_run()))

    assert report.accounted and report.unaccounted == 0
    assert (report.generated, report.kept, report.rejected_total, report.undecided) == (8, 4, 4, 0)
    assert report.kept_share == 0.5
    assert report.clusters == (2, 2)
    assert report.rejected == {"similar": 3, "too_short": 1}


def test_topics_may_be_read_in_any_order_against_each_other() -> None:
    story = short_run()
    expected = report_of(folded(story), seeds=True)
    shuffled = random.Random(1)

    for _ in range(20):
        by_partition: dict[tuple[str, int], list[object]] = {}
        for record in story.records():
            by_partition.setdefault((record.topic, record.partition), []).append(record)
        fold = RunFold(story.configured)
        while by_partition:
            partition = shuffled.choice(sorted(by_partition))
            fold.apply(by_partition[partition].pop(0))  # type: ignore[arg-type]
            if not by_partition[partition]:
                del by_partition[partition]

        assert report_of(fold, seeds=True) == expected


def test_records_that_stand_twice_are_dropped_and_counted() -> None:
    story = short_run()
    expected = report_of(folded(story))
    for entry in list(story.written):
        story.again(entry)

    found = report_of(folded(story))

    assert found.duplicates == {
        "calls": 6,
        "generated": 3,
        "kept": 4,
        "rejected": 3,
        "run": 1,
        "seed-commands": 2,
        "training-log": 2,
    }
    assert found.accounted
    for name in ("calls", "generated", "kept", "rejected", "steps", "windows", "replacements", "cost", "tokens"):
        assert getattr(found, name) == getattr(expected, name), name


def test_a_generation_written_twice_is_decided_to_be_nothing_the_second_time() -> None:
    story = Story()
    entry = story.generate(0)
    story.again(entry)
    story.decide(0, 0, {0: 0, 1: 1}, {2: "similar"})
    story.reject(0, 1, {}, generated=0)

    report = report_of(folded(story))

    assert report.accounted
    assert (report.generations, report.generated, report.filter_lag) == (1, 3, 0)


def test_what_the_filter_is_not_done_with_is_undecided_not_missing() -> None:
    story = Story()
    story.generate(0)
    story.generate(1)
    story.decide(0, 0, {0: 0, 1: 1}, {2: "similar"})
    story.keep(1, 1, 0, 0)  # the filter is in the middle of the second

    report = report_of(folded(story))

    assert report.accounted
    assert (report.generated, report.kept, report.rejected_total, report.undecided) == (6, 2, 1, 3)
    assert report.filter_lag == 1


def _forget(story: Story) -> None:
    story.written = [entry for entry in story.written if entry.id != instruction(0, 2)]


def _reject_a_kept_one(story: Story) -> None:
    story.decide(2, 2, {0: 0, 1: 0}, {1: "similar", 2: "similar"})


def _keep_a_stranger(story: Story) -> None:
    story.keep(9, 1, 4, 1)


def _pass_over(story: Story) -> None:
    story.generate(4)
    story.decide(4, 4, {0: 0, 1: 0}, {2: "similar"})


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (_forget, "neither kept nor rejected"),
        (_reject_a_kept_one, "kept and rejected"),
        (_keep_a_stranger, "decided, but never generated"),
        (_pass_over, "the filter passed over 1 records before it"),
    ],
)
def test_each_fault_of_the_books_is_named(harm: Callable[[Story], None], what: str) -> None:
    story = Story()
    story.generate(0)
    story.decide(0, 0, {0: 0, 2: 1}, {1: "similar"})
    story.generate(1)
    story.decide(1, 1, {0: 0}, {1: "similar", 2: "similar"})
    story.generate(2)
    if harm is not _reject_a_kept_one:
        story.decide(2, 2, {0: 0}, {1: "similar", 2: "similar"})
    story.generate(3)
    harm(story)

    fold = folded(story)

    assert what in {problem.what for problem in fold.verdicts.problems()}
    assert not report_of(fold).accounted


def test_a_row_outside_its_clusters_partition_is_a_fault() -> None:
    story = Story()
    story.generate(0, count=1)
    entry = story.keep(0, 0, 0, 1)
    story.written[-1] = type(entry)(entry.topic, 0, entry.event, entry.id, entry.key)
    story.reject(0, 0, {}, generated=1)

    fold = folded(story)
    told = [problem.what for problem in fold.verdicts.problems()]

    assert fold.unreadable == {"kept": 1}
    assert told[0] == "the filter counted 1 generated and 1 kept, the log holds 1 and 0"
    assert told[1] == "neither kept nor rejected"


def test_seeds_are_credited_with_what_came_of_the_generations_they_were_shown_in() -> None:
    fold = folded(short_run())

    assert fold.verdicts.scores["seed-0"] == SeedScore(6, 3, 2, shown=2)
    assert fold.verdicts.scores["seed-1"] == SeedScore(4, 3, 1, shown=2)
    assert fold.verdicts.scores["new-1"] == SeedScore(3, 1, 2, shown=1)


@pytest.mark.parametrize("count_rule_rejections", [True, False])
def test_scores_read_from_the_log_are_the_filters_whatever_counts(count_rule_rejections: bool) -> None:
    story = whole_run(policy=policy_with(POLICY, count_rule_rejections=count_rule_rejections))
    fold = folded(story)
    assert fold.verdicts.scores == story.state.scores
    assert any(totals.uncounted for totals in fold.verdicts.totals.values()) is not count_rule_rejections


def unread_once(again: bool) -> Story:
    """The filter could not read generation 1 in its turn; all of it can be read now, and it may stand there again."""
    story = Story()
    story.generate(0)
    story.decide(0, 0, {0: 0}, {1: "similar", 2: "similar"})
    unread = story.generate(1, ("seed-2",), unparsed=1)
    story.tell(nothing(1, 3, 1), id=ids.verdict_id(1), key="offset-1")
    story.rejected_offset = 1
    story.generate(2)
    story.decide(2, 2, {0: 1, 1: 0}, {2: "similar"})
    if again:
        story.again(unread)
        story.decide(1, 3, {2: 1}, {0: "similar", 1: "similar"})
    return story


def nothing(offset: int, generated_total: int, kept_total: int) -> InstructionsRejected:
    return InstructionsRejected(
        generation_id="",
        generated_offset=offset,
        rejections=(),
        generated=0,
        kept=0,
        generated_total=generated_total,
        kept_total=kept_total,
    )


def test_a_generation_that_the_filter_could_not_read_counts_for_nothing_when_it_can_be_read_later() -> None:
    fold = folded(unread_once(again=False))
    report = report_of(fold)

    assert report.accounted, report.unaccounted_first
    assert (report.generations, report.generated, report.unparsed_total) == (2, 6, 0)
    assert fold.verdicts.shown["seed-2"] == 0


def test_its_copy_is_what_counts_whichever_topic_is_read_first() -> None:
    records = list(unread_once(again=True).records())
    found = []
    for first in ("generated", "rejected"):
        fold = RunFold(Story().configured)
        for record in sorted(records, key=lambda record: record.topic != first):
            fold.apply(record)
        found.append(report_of(fold, seeds=True))
        assert fold.verdicts.shown["seed-2"] == 1

    assert found[0] == found[1]
    assert found[0].accounted, found[0].unaccounted_first
    assert (found[0].generations, found[0].generated, found[0].kept, found[0].unparsed_total) == (3, 9, 4, 1)
    assert found[0].duplicates == {}


def test_a_window_that_comes_late_is_taken_once_and_stands_where_it_belongs() -> None:
    story = Story()
    story.train(0)
    story.train(2)
    late = story.train(1)
    story.again(late)

    fold = folded(story)

    assert [window.window for window in fold.windows] == [0, 1, 2]
    assert fold.dropped == {"training-log": 1}
