"""The log readers' special cases: offsets without a record, partitions that were paused, and reading once more."""

import time

import pytest
from kafka import KafkaProducer

from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.reader import LogReader
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from schemas.topics import topic_name
from tests.unit.consumers.story import Story


@pytest.fixture
def story(broker: TemporaryBroker, run: str) -> Story:
    """Some hundred calls and as many generations, on the log."""
    story = Story(run, batch_size=2)
    for number in range(300):
        story.generate(number)
    apply(broker.settings, run, story.batch_size)
    with LogWriter(broker.settings, run, "test") as log:
        for sent in [log.send(w.event, key=w.key, id=w.id, partition=w.partition) for w in story.written]:
            log.wait(sent)
    return story


def test_a_range_ends_although_no_record_stands_at_its_last_offsets(broker: TemporaryBroker, story: Story) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=f"{story.run}-hole")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic_name(story.run, "generated"), value=b"{}", partition=0)
    producer.commit_transaction()  # which takes an offset after the record
    producer.close()
    began = time.monotonic()

    with LogReader(broker.settings, story.run, ["generated"]) as reader:
        assert reader.ends() == {("generated", 0): 302}
        found = reader.read_range("generated", 0, 295, None, 500)
        nothing = reader.read_range("generated", 0, 301, None, 500)

    assert [record.offset for record in found] == [295, 296, 297, 298, 299, 300]
    assert nothing == []
    assert time.monotonic() - began < 25  # it would wait 30 s for the record that is not there


def test_a_partition_that_was_paused_with_records_fetched_goes_on(broker: TemporaryBroker, story: Story) -> None:
    with LogReader(broker.settings, story.run, ["calls", "generated"]) as reader:
        first = reader.poll(timeout_s=10, limit=10)[0].place
        (other,) = {("calls", 0), ("generated", 0)} - {first}
        reader.pause([first])
        while reader.position(*other) < reader.ends()[other]:
            reader.poll(limit=1000)
        reader.poll(timeout_s=0.1)
        reader.resume([first])
        deadline = time.monotonic() + 60

        while reader.position(*first) < reader.ends()[first]:
            reader.poll()
            assert time.monotonic() < deadline, "what was fetched before the pause is never given out"


def test_a_partition_that_was_read_in_part_or_whole_is_read_once_more_from_any_offset(
    broker: TemporaryBroker, story: Story
) -> None:
    with KafkaSource(broker.settings, story.run).open(["calls", "generated"]) as reading:

        def read(count: int) -> list[tuple[int, bytes | None]]:
            found = (reading.next("generated", 0) for _ in range(count))
            return [(record.offset, record.value) for record in found if record is not None]

        first = read(40)  # more are fetched
        reading.seek("generated", 0, 0)
        whole = read(400)
        assert [at for at, _ in whole] == [*range(300)]
        assert whole[:40] == first
        for start in (0, 290):  # from the end, where nothing is waiting
            reading.seek("generated", 0, start)
            assert read(400) == whole[start:]
