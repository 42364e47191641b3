"""A cursor restores the log's order in what is delivered: each record once, without gaps."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.log.record import Record
from schemas.errors import RunError
from streams.worker.cursor import Cursor, one_by_one

TOPIC = "generated"


def record(offset: int) -> Record:
    return Record(TOPIC, 0, offset, 0, None, None)


@dataclass
class Rig:
    """A cursor over a log of `end` records that it can also read itself, at most `page` at a time."""

    end: int
    page: int = 3
    missing: frozenset[int] = frozenset()
    seen: list[int] = field(default_factory=list)
    fetched: list[tuple[int, int | None]] = field(default_factory=list)
    fail_at: int | None = None
    stop_at: int | None = None
    busy: bool = False

    def __post_init__(self) -> None:
        self.cursor = Cursor(TOPIC, self.fetch, one_by_one(self.apply))

    async def fetch(self, topic: str, start: int, end: int | None) -> Sequence[Record]:
        assert topic == TOPIC
        self.fetched.append((start, end))
        await asyncio.sleep(0)
        stop = self.end if end is None else min(end, self.end)
        return [record(offset) for offset in range(start, stop) if offset not in self.missing][: self.page]

    async def apply(self, given: Record) -> None:
        assert not self.busy, "one at a time"
        self.busy = True
        try:
            await asyncio.sleep(0)
            if given.offset == self.fail_at:
                raise OSError("the broker is away")
            self.seen.append(given.offset)
            if given.offset == self.stop_at:
                self.cursor.stop()
        finally:
            self.busy = False

    async def deliver(self, *offsets: int) -> None:
        for offset in offsets:
            await self.cursor.offer(record(offset))


def run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(steps, 20))


def test_records_delivered_in_order_are_applied_as_they_come_without_reading_the_log() -> None:
    async def steps() -> None:
        rig = Rig(end=5)
        await rig.cursor.start(-1)
        await rig.deliver(0, 1, 2, 3, 4)
        assert (rig.seen, rig.fetched, rig.cursor.applied) == ([0, 1, 2, 3, 4], [], 4)
        assert (rig.cursor.repeats, rig.cursor.filled) == (0, 0)

    run(steps())


def test_repeats_are_dropped() -> None:
    async def steps() -> None:
        rig = Rig(end=5)
        await rig.cursor.start(-1)
        await rig.deliver(0, 0, 1, 0, 1, 2)
        assert (rig.seen, rig.cursor.repeats) == ([0, 1, 2], 3)

    run(steps())


def test_a_gap_is_filled_from_the_log_in_order_before_the_record_that_showed_it() -> None:
    async def steps() -> None:
        rig = Rig(end=20)
        await rig.cursor.start(-1)
        await rig.deliver(0, 9, 10)
        assert rig.seen == list(range(11))
        assert rig.fetched == [(1, 9), (4, 9), (7, 9), (9, 9)], "no further than the record in hand, page by page"
        assert (rig.cursor.filled, rig.cursor.applied) == (8, 10)

    run(steps())


def test_what_was_filled_and_is_delivered_late_is_a_repeat() -> None:
    async def steps() -> None:
        rig = Rig(end=6)
        await rig.cursor.start(-1)
        await rig.deliver(3, 0, 2, 1, 4)
        assert (rig.seen, rig.cursor.repeats) == ([0, 1, 2, 3, 4], 3)

    run(steps())


def test_it_goes_on_after_the_offset_it_is_started_with() -> None:
    async def steps() -> None:
        rig = Rig(end=9)
        await rig.cursor.start(4)
        await rig.deliver(3, 4, 6)
        assert (rig.seen, rig.cursor.repeats, rig.cursor.filled) == ([5, 6], 2, 1)
        await rig.cursor.start(1)
        await rig.deliver(2)
        assert (rig.seen[-1], rig.cursor.applied) == (2, 2), "also when it has to go back"

    run(steps())


def test_catching_up_applies_what_was_never_delivered() -> None:
    async def steps() -> None:
        rig = Rig(end=8)
        await rig.cursor.start(-1)
        await rig.deliver(0, 1)
        await rig.cursor.catch_up()
        assert (rig.seen, rig.cursor.filled) == (list(range(8)), 6)
        rig.end = 11
        await rig.cursor.catch_up(through=9)
        assert rig.seen == list(range(10))
        rig.fetched.clear()
        await rig.cursor.catch_up(through=9)
        assert rig.fetched == [], "what is applied need not be read"
        await rig.cursor.catch_up(through=50)
        assert rig.seen == list(range(11)), "and what is not there yet is not waited for"

    run(steps())


def test_nothing_is_applied_before_the_start_and_after_a_stop() -> None:
    async def steps() -> None:
        rig = Rig(end=9)
        await rig.deliver(0)
        await rig.cursor.catch_up()
        assert (rig.seen, rig.cursor.active) == ([], False)
        await rig.cursor.start(-1)
        await rig.deliver(0)
        rig.cursor.stop()
        await rig.deliver(1, 5)
        await rig.cursor.catch_up()
        assert (rig.seen, rig.cursor.applied, rig.cursor.active) == ([0], 0, False)
        await rig.cursor.start(rig.cursor.applied)
        await rig.deliver(5)
        assert rig.seen == [0, 1, 2, 3, 4, 5]

    run(steps())


@pytest.mark.parametrize("by_delivery", [True, False])
@pytest.mark.parametrize("stop_at", [0, 4, 8])
def test_a_stop_in_the_middle_of_a_gap_ends_it_after_the_record_being_applied(by_delivery: bool, stop_at: int) -> None:
    async def steps() -> None:
        rig = Rig(end=10, stop_at=stop_at)
        await rig.cursor.start(-1)
        await (rig.deliver(9) if by_delivery else rig.cursor.catch_up())
        assert (rig.seen, rig.cursor.applied) == (list(range(stop_at + 1)), stop_at)

    run(steps())


def test_a_start_waits_for_the_record_being_applied_and_what_it_says_counts() -> None:
    """Given a record that is still being applied when its partition goes and comes back, then it is applied again."""

    async def steps() -> None:
        done, seen = asyncio.Event(), list[int]()

        async def apply(given: Record) -> None:
            await done.wait()
            seen.append(given.offset)

        cursor = Cursor(TOPIC, Rig(end=1).fetch, one_by_one(apply))
        await cursor.start(-1)
        applying = asyncio.create_task(cursor.offer(record(0)))
        await asyncio.sleep(0)
        cursor.stop()
        starting = asyncio.create_task(cursor.start(-1))
        await asyncio.sleep(0)
        assert not cursor.active and not starting.done()
        done.set()
        await asyncio.gather(applying, starting)
        assert (cursor.active, cursor.applied) == (True, -1)
        await cursor.catch_up()
        assert seen == [0, 0]

    run(steps())


@pytest.mark.parametrize("delivered", [[0, 1, 2], [2], [5]])
def test_a_record_whose_applying_raises_is_not_applied_and_comes_again(delivered: list[int]) -> None:
    """Whether it was delivered or read to fill a gap: the error reaches the caller, and nothing is passed over."""

    async def steps() -> None:
        rig = Rig(end=6, fail_at=2)
        await rig.cursor.start(-1)
        with pytest.raises(OSError, match="the broker is away"):
            await rig.deliver(*delivered)
        assert (rig.seen, rig.cursor.applied, rig.cursor.active) == ([0, 1], 1, True)
        with pytest.raises(OSError, match="the broker is away"):
            await rig.cursor.catch_up()
        rig.fail_at = None
        await rig.deliver(*delivered, 5)
        assert rig.seen == [0, 1, 2, 3, 4, 5]

    run(steps())


def test_a_gap_that_cannot_be_read_yet_is_not_passed() -> None:
    async def steps() -> None:
        rig = Rig(end=2)
        await rig.cursor.start(-1)
        await rig.deliver(5)
        assert (rig.seen, rig.cursor.applied) == ([0, 1], 1)
        rig.end = 6
        await rig.cursor.catch_up()
        assert rig.seen == [0, 1, 2, 3, 4, 5]

    run(steps())


@pytest.mark.parametrize("by_delivery", [True, False])
def test_records_that_are_gone_from_the_log_are_an_error_and_not_a_silence(by_delivery: bool) -> None:
    async def steps() -> None:
        rig = Rig(end=9, missing=frozenset({3, 4}))
        await rig.cursor.start(-1)
        with pytest.raises(RunError, match="3 to 4 of generated are not on the log any more"):
            await (rig.deliver(8) if by_delivery else rig.cursor.catch_up())
        assert (rig.seen, rig.cursor.applied) == ([0, 1, 2], 2)

    run(steps())


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 25), st.integers(1, 6))
def test_whatever_is_delivered_in_whatever_order_the_log_is_applied_once_and_in_order(
    data: st.DataObject, end: int, page: int
) -> None:
    """Given deliveries that are shuffled, repeated and dropped, then what is applied is always 0, 1, 2, ..."""
    offsets = data.draw(st.lists(st.integers(0, end - 1), max_size=2 * end))

    async def steps() -> None:
        rig = Rig(end=end, page=page)
        await rig.cursor.start(-1)
        for offset in offsets:
            await rig.cursor.offer(record(offset))
            assert rig.seen == list(range(rig.cursor.applied + 1))
            assert rig.cursor.applied >= offset
        await rig.cursor.catch_up()
        assert rig.seen == list(range(end))

    run(steps())


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 25))
def test_deliveries_at_the_same_time_are_applied_one_after_the_other_in_order(data: st.DataObject, end: int) -> None:
    """Also while others catch up, fail, stop and start the cursor again."""
    offsets = data.draw(st.lists(st.integers(0, end - 1), max_size=2 * end))
    actions = data.draw(st.lists(st.sampled_from(["catch up", "fail", "restart"]), max_size=4))

    async def steps() -> None:
        rig = Rig(end=end)
        await rig.cursor.start(-1)

        async def act(action: str) -> None:
            match action:
                case "catch up":
                    await rig.cursor.catch_up()
                case "fail":
                    rig.fail_at = rig.cursor.applied + 2
                case "restart":
                    rig.cursor.stop()
                    await asyncio.sleep(0)
                    await rig.cursor.start(rig.cursor.applied)

        tasks = [rig.cursor.offer(record(offset)) for offset in offsets]
        outcomes = await asyncio.gather(*tasks, *map(act, actions), return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, OSError) for outcome in outcomes)
        assert rig.seen == list(range(rig.cursor.applied + 1))
        rig.fail_at = None
        await rig.cursor.catch_up()
        assert rig.seen == list(range(end))

    run(steps())


def test_settling_waits_for_the_record_that_is_being_applied() -> None:
    async def steps() -> None:
        rig = Rig(end=1)
        await rig.cursor.start(-1)
        applying = asyncio.ensure_future(rig.deliver(0))
        while not rig.busy:
            await asyncio.sleep(0)
        rig.cursor.stop()
        await rig.cursor.settle()
        assert rig.seen == [0]
        await applying

    asyncio.run(steps())
