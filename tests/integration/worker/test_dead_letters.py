"""Unreadable records become dead letters, unchanged, and the agents go on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from infra.cluster.connection import connection
from infra.local_broker.temporary_broker import TemporaryBroker
from schemas import ids
from schemas.policy import policy_for
from schemas.topics import topic_name
from tests.integration.worker.driver import Rig, generation, seeds

BAD = [
    (b"key", b"not json", [("ce_type", b"sedi.InstructionsGenerated.v1"), ("ce_id", b"x"), ("extra", b"\xff")]),
    (None, b"{}", []),
    (b"k", None, [("ce_type", b"sedi.InstructionsGenerated.v1")]),
    (b"k", b"{}", [("ce_type", b"sedi.NoSuchThing.v1")]),
]


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, policy_for(batch_size=2), tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


@pytest.mark.parametrize("topic", ["generated", "training-log", "seed-commands"])
def test_unreadable_records_go_to_the_dead_letters_and_the_next_ones_are_decided(rig: Rig, topic: str) -> None:
    producer = KafkaProducer(**connection(rig.settings, "test"))
    for key, value, headers in BAD:
        producer.send(topic_name(rig.run, topic), value=value, key=key, headers=headers, partition=0).get(10)
    producer.close()
    with rig.writer() as writer:
        # an event of another kind, and a generation under an id that is not its own
        writer.write(generation(7, seeds()), key="k", id="00000000-0000-0000-0000-000000000000")
        id = ids.generation_id("g0", 0)
        last = writer.write(generation(0, seeds()), key=id, id=id).offset

    worker = rig.start_worker()
    rig.wait_decided(last)
    expected = len(BAD) + (topic == "generated")
    deadline = time.monotonic() + 60
    while len(dead := rig.records(f"{topic}.dlq")) < expected:
        assert time.monotonic() < deadline, f"{len(dead)} dead letters"
        time.sleep(0.2)
    assert worker.poll() is None
    for record, (key, value, headers) in zip(dead, BAD, strict=False):
        assert (record.key, record.value) == (key, value)
        assert list(record.headers[: len(headers)]) == headers
        dlq = dict(record.headers[len(headers) :])
        assert (dlq["dlq_topic"], dlq["dlq_partition"]) == (topic.encode(), b"0")
        assert dlq["dlq_error"] and dlq["dlq_time"]
    assert [int(dict(r.headers)["dlq_offset"]) for r in dead[: len(BAD)]] == list(range(len(BAD)))
    assert len({r.id for r in rig.records("rejected")}) == last + 1
