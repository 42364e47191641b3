"""Rows of withdrawn documents leave the queues at a window's start, and a window trained again has the same rows."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from consumers.trainer.data.archive_feed import MemoryFeed
from consumers.trainer.data.batches import RowStream, StreamEnds
from consumers.trainer.data.withdrawn_rows import LiveRanges, WithdrawnRows
from consumers.trainer.distributed.process_group import ProcessGroup
from infra.log.record import Record
from infra.settings import Settings
from streams.core.batches import PartitionPosition
from tests.unit.consumers.document_run import DocumentRun
from tests.unit.trainer.test_batches import Together, encode, never
from tests.unit.trainer.tiny import kept

CLUSTERS, ROWS = 4, 16


class Told:
    """The log so far, as ranges; `generated` is not read before something is withdrawn."""

    def __init__(self, story: DocumentRun) -> None:
        self.story = story
        self.asked: list[str] = []

    def end(self, topic: str) -> int:
        return len(self._all(topic))

    def read(self, topic: str, start: int, end: int) -> Iterator[Record]:
        self.asked.append(topic)
        return iter(self._all(topic)[start:end])

    def close(self) -> None:
        pass

    def _all(self, topic: str) -> list[Record]:
        return [record for record in self.story.records() if record.topic == topic]


@pytest.fixture
def story() -> DocumentRun:
    """Row number n, of generation n and cluster n modulo 4, is from document n modulo 4 - but one is from none."""
    story = DocumentRun()
    documents = [story.read(f"{name}.txt", f"All that there is to know about {name}.") for name in "abcd"]
    for number in range(ROWS):
        if number == 5:
            story.generation(number, ["Count to ten"])
        else:
            story.about(number, documents[number % 3], f"Say {number} things")
    return story


def stream_of(story: DocumentRun, group: ProcessGroup, told: Told | None = None) -> RowStream:
    feed = MemoryFeed([kept(number, number % CLUSTERS) for number in range(ROWS)])
    return RowStream(
        feed,
        group,
        CLUSTERS,
        CLUSTERS,
        StreamEnds(True),
        encode=encode,
        say=lambda line: None,
        withdrawn=WithdrawnRows(told or Told(story), group),
    )


def rows(stream: RowStream, begins_window: bool = False) -> list[int] | None:
    share = stream.next_batch(never, begins_window=begins_window)
    return None if isinstance(share, str) else [row.row.generated_offset for row in share.batch]


def rest(stream: RowStream) -> list[int]:
    found: list[int] = []
    while (batch := rows(stream)) is not None:
        found += batch
    return sorted(found)


def test_a_withdrawal_counts_from_the_next_window_on_and_not_within_one(story: DocumentRun) -> None:
    told = Told(story)
    stream = stream_of(story, ProcessGroup(), told)
    stream.open({})
    assert rows(stream, begins_window=True) == [0, 1, 2, 3]
    assert (stream.documents_offset, told.asked) == (3, ["documents"])  # `generated` is not read for nothing

    at = story.withdraw(story.document(0))
    assert rows(stream) == [4, 5, 6, 7]  # 6 is of that document, and the window has begun
    assert rows(stream, begins_window=True) == [8, 13, 10, 11]  # without 9, in whose queue 13 is next
    assert stream.documents_offset == at
    assert rest(stream) == [14]  # 12 and 15 are of it too
    stream.close()


def test_a_window_trained_again_reflects_the_withdrawals_that_it_names_and_no_later_ones(story: DocumentRun) -> None:
    first = story.withdraw(story.document(0))
    uninterrupted = stream_of(story, ProcessGroup())
    uninterrupted.open({})
    before = rows(uninterrupted, begins_window=True)
    positions: Mapping[int, PartitionPosition] = uninterrupted.positions()
    after = [rows(uninterrupted), rows(uninterrupted)]

    story.withdraw(story.document(1))  # after the window began
    resumed = stream_of(story, ProcessGroup())
    resumed.open(positions)
    resumed.read_withdrawals(first)
    assert [rows(resumed), rows(resumed)] == after
    assert resumed.documents_offset == first
    again = stream_of(story, ProcessGroup())
    again.open({})
    again.read_withdrawals(first)
    assert rows(again) == before
    for stream in (uninterrupted, resumed, again):
        stream.close()


def test_all_ranks_drop_the_same_rows_and_a_later_epoch_lacks_them(story: DocumentRun) -> None:
    def work(group: ProcessGroup) -> list[list[int]]:
        stream = stream_of(story, group)
        stream.open({})
        passes = [rows(stream, begins_window=True) or []]
        group.all_gather(None)
        if group.is_first:
            story.withdraw(story.document(2))
        group.all_gather(None)
        passes[0] += rest(stream)
        ends = stream.positions()
        stream.open({}, ends)
        passes.append((rows(stream, begins_window=True) or []) + rest(stream))
        stream.close()
        return [sorted(found) for found in passes]

    of_document = {number for number in range(ROWS) if number % 3 == 2 and number != 5}
    for found in Together(2).run(work):
        assert found == [list(range(ROWS)), [number for number in range(ROWS) if number not in of_document]]


class WithGaps:
    """A reader of the log whose topic lacks records at most of its offsets, as after compaction."""

    def __init__(self, offsets: Sequence[int], end: int) -> None:
        self._offsets = offsets
        self._end = end

    def partitions(self, topic: str) -> int:
        return 1

    def starts(self) -> dict[tuple[str, int], int]:
        return {("documents", 0): self._offsets[0]}

    def ends(self) -> dict[tuple[str, int], int]:
        return {("documents", 0): self._end}

    def read_range(self, topic: str, partition: int, start: int, end: int, limit: int) -> list[Record]:
        stop = min(start + limit, end, self._end)
        return [Record(topic, 0, offset, 0, None, None) for offset in self._offsets if start <= offset < stop]


def test_the_log_is_read_to_its_end_over_offsets_that_have_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = [3, 4, 700, 1500]
    monkeypatch.setattr("consumers.trainer.data.withdrawn_rows.LogReader", lambda *_: WithGaps(offsets, 2000))
    ranges = LiveRanges(Settings(), "demo")
    assert ranges.end("documents") == 2000
    assert [record.offset for record in ranges.read("documents", 0, 2000)] == offsets
    assert [record.offset for record in ranges.read("documents", 4, 9999)] == offsets[1:]
    assert [record.offset for record in ranges.read("documents", 4, 1500)] == [4, 700]


def test_rows_from_no_log_are_not_asked_about() -> None:
    withdrawn = WithdrawnRows(None, ProcessGroup())
    assert (withdrawn.renew(), withdrawn.renew(7), withdrawn.documents_offset) == (0, 0, -1)
