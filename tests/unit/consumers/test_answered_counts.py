"""A run that answers kept instructions alone, in numbers: answered, waiting and unused rows, and what they cost."""

import msgspec

from consumers.compare.side import read_side
from consumers.folds.counts import AnsweredCounts, counts_of
from consumers.folds.run_fold import RunFold
from consumers.report import report
from consumers.status import BrokerHealth, status_of
from sedi.output import answered_line
from tests.unit.consumers.answered_story import answered_run
from tests.unit.consumers.export.memory import MemorySource
from tests.unit.consumers.recorded_run import row_id
from tests.unit.consumers.story import Story, short_run


def source(story: Story) -> MemorySource:
    return MemorySource(story.run, story.records(), story.batch_size)


def test_a_kept_row_is_used_waits_or_is_not_used_and_repeats_count_once() -> None:
    story = answered_run()
    found = report(source(story))
    cost = found.cost.usd
    assert cost is not None
    assert found.answered == AnsweredCounts(
        used=3, waiting=1, unused={"cut_output": 1}, unused_total=1, usd_per_used=cost / 3
    )
    assert (found.kept, found.duplicates["answered"], found.accounted) == (5, 2, True)
    assert answered_line(found) == [("answered", "3, 1 waiting, 1 not used (cut_output 1)")]
    assert "answered" not in msgspec.to_builtins(counts_of(folded(short_run()))), "a run that answers all is as before"


def folded(story: Story) -> RunFold:
    fold = RunFold(story.configured)
    for record in story.records():
        fold.apply(record)
    return fold


def test_the_trainer_is_not_behind_by_rows_that_wait_or_are_never_trained() -> None:
    story = answered_run()
    story.train(0, (row_id(0, 0),))
    health = BrokerHealth(healthy=True, bootstrap="", brokers=1, detail="")
    assert status_of(folded(story), 0, health).lag.untrained == 2


def test_a_comparison_counts_the_calls_of_the_answers_and_the_lengths_of_those_that_are_used() -> None:
    side = read_side(source(answered_run()))
    last = side.side.curve[-1]
    assert (last.calls, last.tokens, last.usd) == (3 + 4, 3 * 110 + 4 * 15, 3 * 0.5 + 4 * 0.25)
    lengths = {(row.generated_offset, row.place): row.output_tokens for row in side.producers.rows}
    assert lengths == {(0, 0): 6, (0, 1): 6, (0, 2): None, (2, 0): None, (2, 2): 6}
