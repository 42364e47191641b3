"""Reading ahead of a live log: what is given, when the end is reported, and what cannot be read."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consumers.trainer.data import log_feed as ahead
from consumers.trainer.data.log_feed import FedRows, LogFeed
from consumers.trainer.data.score_threshold import ScoreThreshold
from infra.log.record import Record
from infra.settings import Settings
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.errors import BrokerError, RunError, TopicMismatch
from schemas.events import Event, RunStarted, RunStopped
from streams.core.batches import PartitionPosition
from tests.unit.trainer.tiny import answered, kept

CLUSTERS = 2
START = dict.fromkeys(range(CLUSTERS), PartitionPosition())


class Log:
    """A log in memory, and what reads it in the place of LogReader."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Record]] = {
            ("run", 0): [],
            **{(topic, c): [] for topic in ("kept", "answered") for c in range(CLUSTERS)},
        }
        self.lock = threading.Lock()
        self.positions = dict.fromkeys(self.records, 0)
        self.paused: set[tuple[str, int]] = set()
        self.broken: Exception | None = None

    def __call__(self, settings: Settings, run: str, topics: list[str], component: str) -> "Log":
        return self

    def write(self, event: Event, partition: int = 0, topic: str = "kept") -> None:
        id = getattr(event, "id", ids.run_id("r"))
        key, value, headers = encode(event, id, Meta(id, "/test", "2026-01-01T00:00:00Z", None, ids.run_id("r")))
        with self.lock:
            place = self.records[topic, partition]
            place.append(Record(topic, partition, len(place), 0, key, value, headers))

    def partitions(self, topic: str) -> int:
        return sum(name == topic for name, _ in self.records)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self.positions[topic, partition] = offset

    def position(self, topic: str, partition: int) -> int:
        return self.positions[topic, partition]

    def pause(self, partitions: Iterator[tuple[str, int]]) -> None:
        self.paused |= set(partitions)

    def ends(self) -> dict[tuple[str, int], int]:
        with self.lock:
            return {place: len(records) for place, records in self.records.items()}

    def poll(self, timeout_s: float, limit: int) -> list[Record]:
        if self.broken is not None:
            raise self.broken
        found = []
        with self.lock:
            for place, records in self.records.items():
                if place not in self.paused:
                    found += records[self.positions[place] :]
                    self.positions[place] = len(records)
        if not found:
            threading.Event().wait(0.005)
        return found

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    monkeypatch.setattr(ahead, "LogReader", made)
    return made


@pytest.fixture
def feed_of(log: Log) -> Iterator[Callable[..., LogFeed]]:
    made: list[LogFeed] = []

    def feed(**changes: Any) -> LogFeed:
        given: dict[str, Any] = {"until_end": False, "dead_letter": lambda record: "put aside", **changes}
        made.append(LogFeed(Settings(), "r", CLUSTERS, **given))
        return made[-1]

    yield feed
    for each in made:
        each.close()


def taken(feed: LogFeed, rows: int, *, at_end: bool = False, to_end: bool = False) -> list[FedRows]:
    """Take until there were so many rows, and until the end was reported if it is to be."""
    found = [feed.take(5.0, to_end)]
    while sum(len(fed.rows) for fed in found) < rows or (at_end and not found[-1].at_end):
        found.append(feed.take(5.0, to_end))
    return found


def test_rows_come_in_the_order_of_their_cluster_from_the_positions_on(log: Log, feed_of: Any) -> None:
    for number in range(6):
        log.write(kept(number, number % 2), number % 2)
    feed = feed_of(until_end=True)
    feed.open({0: PartitionPosition(1), 1: PartitionPosition(2)}, None)
    rows = [row for fed in taken(feed, 3, at_end=True) for row in fed.rows]
    assert [(row.kept.cluster, row.offset) for row in rows] == [(0, 1), (0, 2), (1, 2)]


def test_the_end_is_said_to_who_waits_and_to_nobody_else(log: Log, feed_of: Any) -> None:
    log.write(kept(0, 0))
    feed = feed_of(until_end=True)
    feed.open(START, None)
    taken(feed, 1, at_end=True)
    assert not feed.take(0.0).at_end
    log.write(kept(1, 1), 1)  # it came before anybody waited again
    assert sum(len(fed.rows) for fed in taken(feed, 1, at_end=True)) == 1


def test_a_run_that_was_stopped_and_started_again_has_no_end(log: Log, feed_of: Any) -> None:
    log.write(RunStopped(reason="asked"), topic="run")
    log.write(RunStarted(versions={}), topic="run")
    feed = feed_of()
    feed.open(START, None)
    assert not feed.take(0.1).at_end
    log.write(kept(0, 0))
    assert not any(fed.at_end for fed in taken(feed, 1))
    log.write(RunStopped(reason="asked"), topic="run")
    assert taken(feed, 0, at_end=True)[-1].at_end


def test_the_end_of_a_log_is_reported_while_the_stream_goes_on(log: Log, feed_of: Any) -> None:
    log.write(kept(0, 0))
    feed = feed_of()
    feed.open(START, None)
    assert len(taken(feed, 1, at_end=True, to_end=True)[0].rows) == 1
    assert not feed.take(0.1).at_end


def test_a_pass_up_to_limits_ends_there_whatever_came_after(log: Log, feed_of: Any) -> None:
    for number in range(8):
        log.write(kept(number, number % 2), number % 2)
    feed = feed_of()
    feed.open(START, {0: PartitionPosition(2), 1: PartitionPosition(1)})
    rows = [row for fed in taken(feed, 3, at_end=True) for row in fed.rows]
    assert sorted((row.kept.cluster, row.offset) for row in rows) == [(0, 0), (0, 1), (1, 0)]


def test_a_rank_is_given_the_rows_of_its_clusters_only(log: Log, feed_of: Any) -> None:
    for number in range(4):
        log.write(kept(number, number % 2), number % 2)
    feed = feed_of(until_end=True)
    feed.open({1: PartitionPosition()}, None)
    assert {row.kept.cluster for fed in taken(feed, 2, at_end=True) for row in fed.rows} == {1}


def test_it_reads_only_so_far_ahead_of_who_takes(log: Log, feed_of: Any) -> None:
    feed = feed_of(until_end=True)
    feed.open(START, None)
    for number in range(100):
        log.write(kept(number, 0))
        while number < 64 and log.position("kept", 0) <= number:
            threading.Event().wait(0.001)
    held = feed.take(5.0)
    assert len(held.rows) < 100
    assert sum(len(fed.rows) for fed in taken(feed, 100 - len(held.rows), at_end=True)) == 100 - len(held.rows)


def test_a_record_that_cannot_be_read_is_dead_lettered_and_noted(log: Log, feed_of: Any) -> None:
    log.write(kept(0, 1), 0)  # in another cluster's partition
    log.write(kept(1, 0), 0)
    aside: list[Record] = []
    feed = feed_of(until_end=True, dead_letter=lambda record: aside.append(record) or "put aside")
    feed.open(START, None)
    found = taken(feed, 1, at_end=True)
    assert [record.offset for record in aside] == [0]
    (note,) = [note for fed in found for note in fed.notes]
    assert note.startswith("Offset 0 of partition 0 of `kept` cannot be read")
    assert note.endswith("put aside.")


def test_what_breaks_while_reading_is_raised_where_the_rows_are_taken(log: Log, feed_of: Any) -> None:
    log.broken = BrokerError("the cluster has gone")
    feed = feed_of()
    feed.open(START, None)
    with pytest.raises(BrokerError, match="has gone"):
        for _ in range(100):
            feed.take(0.05)


def test_rows_without_a_score_keep_the_stream_open_and_are_counted(log: Log, feed_of: Any) -> None:
    log.records["judged", 0] = []
    log.positions["judged", 0] = 0
    log.write(kept(0, 0))
    feed = feed_of(until_end=True, threshold=ScoreThreshold(4.0, None))
    feed.open(START, None)
    while not (fed := feed.take(0.05)).unjudged:
        pass
    assert (fed.unjudged, fed.rows) == (1, ())
    assert not feed.take(0.05).at_end


def test_answered_rows_are_given_unless_unused_and_the_end_is_that_of_all_kept_rows(log: Log, feed_of: Any) -> None:
    rows = [kept(number, 0) for number in range(4)]
    for row in rows[:3]:
        log.write(row)
    log.write(answered(rows[0]), 0, "answered")
    log.write(answered(rows[1], "cut_output"), 0, "answered")
    feed = feed_of(topic="answered", until_end=True)
    feed.open(START, None)
    assert [row.kept.id for fed in taken(feed, 1) for row in fed.rows] == [rows[0].id]
    while not (fed := feed.take(0.05)).unanswered:
        pass
    assert (fed.unanswered, fed.rows, fed.at_end) == (1, (), False)
    assert taken(feed, 0, at_end=True, to_end=True)[-1].unanswered == 1  # the log's end is where it is now
    assert not feed.take(0.1).at_end
    log.write(answered(rows[2], "empty_output"), 0, "answered")
    assert [fed.rows for fed in taken(feed, 0, at_end=True)] == [()]
    log.write(rows[3])
    while not feed.take(0.05).unanswered:
        pass
    assert not feed.take(0.1).at_end
    log.write(answered(rows[3]), 0, "answered")
    assert [(row.offset, row.kept.id) for fed in taken(feed, 1, at_end=True) for row in fed.rows] == [(3, rows[3].id)]


def test_a_pass_that_begins_after_the_last_answer_knows_that_nothing_waits(log: Log, feed_of: Any) -> None:
    for number in range(4):
        log.write(kept(number, number % 2), number % 2)
        log.write(answered(kept(number, number % 2)), number % 2, "answered")
    feed = feed_of(topic="answered", until_end=True)
    feed.open({0: PartitionPosition(2, (2, 0)), 1: PartitionPosition(1, (1, 0))}, None)
    rows = [row for fed in taken(feed, 1, at_end=True) for row in fed.rows]
    assert [(row.kept.cluster, row.offset) for row in rows] == [(1, 1)]


def test_a_run_that_was_stopped_ends_without_the_answers_that_do_not_come(log: Log, feed_of: Any) -> None:
    for number in range(2):
        log.write(kept(number, 0))
    log.write(answered(kept(0, 0)), 0, "answered")
    feed = feed_of(topic="answered")
    feed.open(START, None)
    assert not any(fed.at_end for fed in taken(feed, 1))
    log.write(RunStopped(reason="the budget is used up"), topic="run")
    assert taken(feed, 0, at_end=True)[-1].unanswered == 1


def test_topics_that_are_not_as_they_must_be_are_refused(log: Log, feed_of: Any) -> None:
    with pytest.raises(RunError, match="sedi judge"):
        feed_of(threshold=ScoreThreshold(4.0, None))
    del log.records["kept", 1]
    with pytest.raises(TopicMismatch, match="1 partitions"):
        feed_of()
