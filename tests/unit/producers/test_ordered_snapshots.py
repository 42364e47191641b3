"""A judge or an answerer goes on from a snapshot of what it knows, and from the rows that it had not done."""

import asyncio
import random
from functools import cache
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.made_records import MadeRun, records
from infra.log.record import Record
from infra.snapshots.own_data import from_bytes, to_bytes
from producers.answer.progress import AnswerProgress
from producers.answer.progress_reader import _CODE as answer_code
from producers.answer.rows import AnswerQueue, ClusterShare, RowAnswerer, RowAnswerItem
from producers.calls.answered_rows import AnsweredRows, RowsInOrder
from producers.calls.kept_rows import READ_ROWS, KeptRows
from producers.calls.ordered_work import OrderedWork
from producers.calls.queue_position import QueuePosition, ReachedPosition, RowsPosition
from producers.generate.progress import LaneProgress
from producers.judge.judge import _CODE as judge_code
from producers.judge.progress import JudgeProgress
from producers.judge.scoring import RowItem, RowJudge, RowQueue, RowSample
from schemas import ids
from tests.unit.consumers.recorded_run import MemorySource
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_judge_scoring import LANE, WHO, Scripted, judging, kept

ROWS = 60
MODULES = ("producers.calls.queue_position", "producers.generate.yield_window")


@cache
def made() -> tuple[Record, ...]:
    """A run with answers and judgements, in the order it was written."""
    ends: dict[tuple[str, int], int] = {}
    found = []
    for one in records(MadeRun(ROWS, answered=True, judged=True)):
        place = one.topic, one.partition
        offset = ends[place] = ends.get(place, -1) + 1
        found.append(Record(*place, offset, one.timestamp_ms, one.key, one.value, one.headers))
    return tuple(found)


def known(progress: LaneProgress) -> tuple[object, ...]:
    assert isinstance(progress, AnswerProgress | JudgeProgress)
    return progress.done, progress._calls, progress._requests, progress.answers, progress.ledger, progress.next_free


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32).map(random.Random))
def test_what_is_known_of_the_work_goes_on_from_a_snapshot_made_anywhere(rng: random.Random) -> None:
    log = MemoryLog()
    worker = judging(log, Scripted(), 30)
    worker._most_pending = rng.randrange(1, 9)
    asyncio.run(worker.run(Scripted()))
    judge_log = log.records[: rng.randrange(len(log.records) + 1)]
    for begin, topics, told in (
        (lambda: JudgeProgress(LANE, configured(), judge=WHO.name), ("judged", "calls"), judge_log),
        (lambda: AnswerProgress("answer/1-of-1", configured()), ("answered", "calls"), list(made())),
    ):
        whole, part = begin(), begin()
        end = {topic: rng.randrange(1 + sum(r.topic == topic for r in told)) for topic in topics}
        read = [record for topic in topics for record in told if record.topic == topic]
        for record in read:
            whole.apply(record)
        first = [r for topic in topics for r in [r for r in read if r.topic == topic][: end[topic]]]
        later = [r for topic in topics for r in [r for r in read if r.topic == topic][end[topic] :]]
        for record in first:
            part.apply(record)
        part, reached = from_bytes(to_bytes((part, None)), tuple, (type(part).__module__, *MODULES))
        assert reached is None
        for record in later:
            part.apply(record)
        assert known(part) == known(whole)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32).map(random.Random), st.sampled_from([KeptRows, AnsweredRows]))
def test_rows_go_on_at_a_position_wherever_the_log_and_the_reader_were(
    rng: random.Random, reader: type[KeptRows] | type[AnsweredRows]
) -> None:
    log = made()
    expected = [row.id for row in reader(MemorySource(log)).take(10 * ROWS)]
    assert len(expected) == ROWS
    found: list[str] = []
    position: RowsPosition | None = None
    for end in [*sorted(rng.sample(range(len(log)), 4)), len(log)]:
        rows: RowsInOrder = reader(MemorySource(log[:end]))
        if position is not None:
            rows.go_on(from_bytes(to_bytes(position), RowsPosition, MODULES))
        wanted = 10 * ROWS if end == len(log) else rng.randrange(ROWS)
        while wanted > 0 and (taken := rows.take(min(wanted, rng.randrange(1, 20)))):
            found += [row.id for row in taken]
            wanted -= len(taken)
        position = rows.position()
        assert rows.total <= ROWS
    assert found == expected


@pytest.mark.parametrize("kind", ["answers", "judgements"])
def test_a_queue_goes_on_after_the_items_that_are_done_and_only_one_that_takes_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.answer.rows.READ_ROWS", 7)
    monkeypatch.setattr("producers.judge.scoring.READ_ROWS", 7)

    def queue(share: int = 1) -> AnswerQueue | RowQueue:
        rows = KeptRows(MemorySource(made()))
        if kind == "answers":
            return AnswerQueue(rows, ClusterShare(share, 2), cast(RowAnswerer, None), until_end=True)
        return RowQueue(rows, cast(RowJudge, None), RowSample(sample=share / 2), until_end=True)

    def given_by(found: AnswerQueue | RowQueue, most: int = ROWS) -> list[str]:
        async def all() -> list[str]:
            items: list[str] = []
            while len(items) < most and (item := await found.next()) is not None:
                assert isinstance(item, RowAnswerItem | RowItem)
                items.append(item.row.id)
            return items

        return asyncio.run(all())

    everything = given_by(queue())
    assert 10 < len(everything) < ROWS
    first = queue()
    given_by(first, 12)
    assert (before := first.reached(0)) is None or before.processed == 0
    position = first.reached(11)
    assert position is not None
    assert 0 < position.processed <= first._processed
    again = queue()
    again.go_on(position)
    rest = given_by(again)
    assert rest == everything[-len(rest) :]
    assert len(everything) - 11 <= len(rest) < len(everything), "what was not done comes, and not all again"
    other = queue(2)
    other.go_on(position)
    assert given_by(other) == given_by(queue(2))


def test_a_position_is_reached_when_all_before_it_is_done() -> None:
    places = [QueuePosition("all", processed, 0, RowsPosition(-1, 0, 0, {}, {})) for processed in range(3)]
    marks = ReachedPosition()
    for place in places:
        marks.mark(place)
        marks.given += 5
    assert [marks.finished(items) for items in (0, 4, 5, 14)] == [places[0], places[0], places[1], places[2]]


def test_a_queue_that_is_asked_for_more_while_an_item_takes_a_day_holds_one_position() -> None:
    queue = AnswerQueue(KeptRows(MemorySource(made())), ClusterShare(), cast(RowAnswerer, None), until_end=False)

    async def ask_again() -> None:
        while await queue.next() is not None:
            pass
        for _ in range(20):
            assert await queue.next() is None

    asyncio.run(ask_again())
    assert len(queue._reached._marks) == 2
    assert (end := queue.reached(ROWS)) is not None and end.processed == ROWS
    assert not queue._reached._marks


def test_a_position_is_not_beyond_what_was_read_back_from_the_log() -> None:
    """A broker that loses its power may lose the end of a topic, and a snapshot is checked against what it covers."""
    log = MemoryLog()
    worker = judging(log, Scripted(), 2 * READ_ROWS + 1)
    progress = cast(JudgeProgress, worker._progress)
    finishes, lost = progress.finishes, ids.judgement_id(kept(READ_ROWS - 1).id, WHO.name)
    progress.finishes = lambda event, id: id != lost and finishes(event, id)  # type: ignore[method-assign]
    asyncio.run(worker.run(Scripted()))
    log.refresh(progress)
    worker.note_reached()
    assert worker.reached is not None and worker.reached.processed == 0
    progress.done.add(lost)
    worker.note_reached()
    assert worker.reached.processed == 2 * READ_ROWS


def test_what_chooses_the_rows_is_in_the_digest_of_what_a_position_was_made_by() -> None:
    for code, queue in ((judge_code, RowQueue), (answer_code, AnswerQueue)):
        assert {f"{kind.__module__.replace('.', '/')}.py" for kind in (queue, OrderedWork, KeptRows)} <= set(code)
