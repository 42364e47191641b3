"""Scattered dead letters are allowed; too many in a row, or as a share of all records, stop the worker."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TooManyDeadLetters
from streams.worker.dead_letter_limit import SHARE_AFTER, DeadLetterCount, DeadLetterLimit

IN_A_ROW = DeadLetterLimit(in_a_row=3, share=1.0)
SHARE = DeadLetterLimit(in_a_row=1000, share=0.1)
ERROR = ValueError("no such\n  thing.")


def count(
    limit: DeadLetterLimit, dead: Iterable[int] = (), applied: int = -1, put_back: Iterable[int] = ()
) -> DeadLetterCount:
    """A count that begins behind `applied`."""
    made = DeadLetterCount("demo", "generated", limit)
    made.recover(list(dead), list(put_back), applied)
    return made


def stops_at(counting: DeadLetterCount, offsets: Iterable[int]) -> int | None:
    """The offset of the first dead letter that is one too many."""
    for offset in offsets:
        try:
            counting.add(offset, ERROR)
        except TooManyDeadLetters:
            return offset
    return None


@pytest.mark.parametrize(
    ("offsets", "stops"),
    [
        ([0, 1, 2], None),
        ([0, 1, 2, 3], 3),
        ([0, 1, 2, 4, 5, 6, 8], None),  # a good one in between begins anew
        ([0, 1, 3, 4, 5, 6], 6),
        ([7, 8, 9, 10], 10),
        ([0, 0, 1, 1, 1, 2, 2, 2], None),  # one that comes again after an error is one
        ([0, 1, 1, 2, 3], 3),
    ],
)
def test_one_more_in_a_row_than_the_limit_is_too_many(offsets: list[int], stops: int | None) -> None:
    assert stops_at(count(IN_A_ROW), offsets) == stops


def test_a_share_above_the_limit_is_too_many_but_not_of_few_records() -> None:
    early = range(0, SHARE_AFTER - 1, 2)
    assert stops_at(count(SHARE), early) is None
    assert stops_at(count(SHARE), [*early, SHARE_AFTER - 1]) == SHARE_AFTER - 1


def test_a_share_that_equals_the_limit_is_tolerated() -> None:
    assert stops_at(count(SHARE), range(9, 1000, 10)) is None
    assert stops_at(count(SHARE), [*range(9, 1000, 10), 1000]) == 1000


def test_one_that_comes_again_after_an_error_is_one_of_a_share_too() -> None:
    assert stops_at(count(SHARE), [offset for offset in range(9, 1000, 10) for _ in range(3)]) is None


def test_a_share_of_one_tolerates_any() -> None:
    assert stops_at(count(DeadLetterLimit(in_a_row=1000, share=1.0)), range(500)) is None


def test_the_sentence_names_the_place_the_numbers_the_setting_the_last_error_and_what_to_do() -> None:
    counting = count(IN_A_ROW)
    assert stops_at(counting, [0, 1, 2]) is None
    with pytest.raises(TooManyDeadLetters) as stopped:
        counting.add(3, ERROR)
    message = str(stopped.value)
    for part in (
        "offset 3 of generated",
        "4 in a row",
        "dead_letters_in_a_row=3",
        "The last error: ValueError: no such thing. ",
        "`sedi dlq retry --all --run demo`",
    ):
        assert part in message
    assert "\n" not in message and stopped.value.permanent


def test_the_one_that_is_too_many_is_too_many_again_and_is_not_counted() -> None:
    counting = count(IN_A_ROW)
    assert stops_at(counting, [0, 1, 2, 3]) == stops_at(counting, [3]) == 3
    assert stops_at(counting, [5, 6, 7]) is None  # the program was fixed, and offset 3 was good


@pytest.mark.parametrize(
    ("dead", "applied", "stops"),
    [
        ([4, 5, 6], 6, 7),
        ([4, 5], 6, 10),  # what was applied last was good
        ([3, 4, 6], 6, 9),
        ([4, 5, 6, 7, 8], 6, 7),  # those behind `applied` come again
        ([], 6, 10),
    ],
)
def test_a_row_goes_on_where_it_was_before_a_restart(dead: list[int], applied: int, stops: int) -> None:
    assert stops_at(count(IN_A_ROW, dead, applied), range(applied + 1, 20)) == stops


@given(st.sets(st.integers(0, 300)), st.sampled_from([IN_A_ROW, SHARE, DeadLetterLimit(5, 0.2)]), st.data())
def test_restarts_anywhere_change_nothing(bad: set[int], limit: DeadLetterLimit, data: st.DataObject) -> None:
    offsets, letters, found = sorted(bad), set[int](), None
    counting = count(limit)
    for offset in offsets:
        if data.draw(st.booleans()):
            counting = count(limit, letters, offset - 1)
        found = stops_at(counting, [offset])
        if found is not None:
            break
        letters.add(offset)
        if data.draw(st.booleans()):  # the process dies when the letter is written and its record does not count yet
            counting = count(limit, letters, offset - 1)
            assert stops_at(counting, [offset]) is None
    assert found == stops_at(count(limit), offsets)


def test_those_put_back_do_not_count_when_their_topic_is_read_from_its_start_again() -> None:
    """As `judged` is, which has no table."""
    assert stops_at(count(IN_A_ROW, put_back=range(10)), range(10)) is None
    assert stops_at(count(IN_A_ROW, put_back=range(10)), range(20)) == 13
