"""What a run does now: how old its oldest open call is, and the rows that were decided last, with their words."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.folds.moment import Moment
from consumers.folds.run_fold import RunFold
from infra.log.record import Record
from schemas import ids
from tests.unit.consumers.story import START_MS, Story, short_run


def folded(story: Story, records: Iterable[Record]) -> RunFold:
    fold = RunFold(story.configured)
    for each in records:
        fold.apply(each)
    return fold


def last(moment: Moment) -> tuple[tuple[str, str | None, int | None], ...]:
    rows = moment.last_kept, moment.last_rejected
    return tuple((row.id, row.instruction, row.cluster) for row in rows if row is not None)


@pytest.mark.parametrize("first", ["generated", "rejected", "kept"])
def test_the_last_rows_have_their_words_in_whatever_order_topics_are_read(first: str) -> None:
    story = short_run()
    records = sorted(story.records(), key=lambda record: record.topic != first)

    moment = folded(story, records).moment.at(START_MS)

    generation = ids.generation_id("main", 2)
    kept, rejected = (ids.instruction_id(generation, place) for place in (0, 2))
    assert last(moment) == ((kept, "Task 0 of 2", 1), (rejected, "Task 2 of 2", None))
    assert moment.last_rejected is not None and moment.last_rejected.reason == "similar"


def test_texts_are_held_only_until_their_generation_is_decided_and_no_more_than_some() -> None:
    story = Story()
    story.configure()
    for number in range(300):
        story.generate(number, count=1)
    fold = folded(story, story.records())
    assert min(fold.moment.texts) == 300 - 256
    story.decide(299, 299, {}, {0: "similar"})
    fold = folded(story, story.records())
    assert fold.moment.texts == {}
    assert last(fold.moment.at(START_MS)) == (
        (ids.instruction_id(ids.generation_id("main", 299), 0), "Task 0 of 299", None),
    )


def test_the_oldest_open_call_is_as_old_as_its_last_attempt() -> None:
    story = Story()
    story.configure()
    story.call(0)  # 1 s after the start
    story.call(1)
    story.failure(0)
    story.call(0, attempt=2)  # 4 s
    fold = folded(story, story.records())
    assert fold.moment.at(START_MS + 10_000).oldest_call_s == 8.0
    story.answer(1)
    fold = folded(story, story.records())
    assert fold.moment.at(START_MS + 10_000).oldest_call_s == 6.0
    story.answer(0, attempt=2)
    fold = folded(story, story.records())
    assert fold.moment.at(START_MS + 10_000).oldest_call_s is None


@given(st.lists(st.sampled_from("saf"), max_size=30), st.randoms())
def test_a_call_has_an_age_exactly_when_the_ledger_has_it_open(fates: list[str], draw) -> None:  # type: ignore[no-untyped-def]
    story = Story()
    story.configure()
    attempts: dict[int, int] = {}
    ended: set[int] = set()
    for fate in fates:
        number = draw.randrange(4)
        if fate == "s" and number not in ended:
            attempts[number] = attempts.get(number, 0) + 1
            story.call(number, attempts[number])
        elif number in attempts and number not in ended:
            (story.answer if fate == "a" else story.failure)(number, attempts[number])
            ended |= {number} if fate == "a" else set()
    fold = folded(story, story.records())
    assert len(fold.moment.open_calls) == fold.ledger.open
