"""A filter that is killed, or whose partition is reassigned, makes the same decisions as an undisturbed one."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from infra.cluster.connection import connection
from infra.local_broker.temporary_broker import TemporaryBroker
from schemas import ids
from schemas.policy import policy_for
from streams.core.scores import SeedScore
from tests.integration.worker.driver import Rig, first_of_each, generation, seeds, undisturbed

GENERATIONS = 2000


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, policy_for(batch_size=4, refit_from=64), tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


def write_generations(rig: Rig, start: int, end: int, pause_s: float = 0.0) -> None:
    with rig.writer() as writer:
        for number in range(start, end):
            id = ids.generation_id("g0", number)
            writer.wait(writer.send(generation(number, seeds()), key=id, id=id))
            time.sleep(pause_s)


def score_table(rig: Rig) -> dict[str, SeedScore]:
    """The last value of each key on the score table's changelog."""
    consumer = KafkaConsumer(**connection(rig.settings, "test-changelog"), group_id=None, auto_offset_reset="earliest")
    partition = TopicPartition(f"sedi.{rig.run}.worker-scores-changelog", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    found = {}
    while consumer.position(partition) < end:
        for record in consumer.poll(500).get(partition, []):
            found[record.key.decode()] = msgspec.json.decode(record.value, type=SeedScore)
    consumer.close()
    return found


def assert_as_undisturbed(rig: Rig) -> None:
    state, kept, rejected = undisturbed(rig)
    records = rig.records("kept", "rejected")
    assert first_of_each(records, "rejected") == rejected
    assert first_of_each(records, "kept") == kept
    for record in records:  # a repeat must be the same event again, never another decision
        assert record.value == (kept if record.topic == "kept" else rejected)[record.id]
    deadline = time.monotonic() + 60
    while score_table(rig) != state.scores and time.monotonic() < deadline:
        time.sleep(0.5)
    assert score_table(rig) == state.scores


@pytest.mark.timeout(600)
def test_a_second_worker_joining_and_leaving_six_times_changes_nothing(rig: Rig) -> None:
    rig.start_worker()
    write_generations(rig, 0, 100)
    rig.wait_decided(99)
    step = (GENERATIONS - 100) // 12
    number = 100
    for round_ in range(6):
        second = rig.start_worker()
        write_generations(rig, number, number + step, pause_s=0.02)
        number += step
        # leave in turn by the front door and by a crash, sometimes before the rebalance has ended
        time.sleep(0.5 * (round_ % 4))
        second.send_signal(signal.SIGKILL if round_ % 3 == 2 else signal.SIGTERM)
        write_generations(rig, number, number + step, pause_s=0.02)
        number += step
        second.wait(60)  # the cluster may leave a goodbye in the middle of a rebalance unanswered for 30 s
    write_generations(rig, number, GENERATIONS)
    rig.wait_decided(GENERATIONS - 1, timeout_s=200)
    assert_as_undisturbed(rig)


def skip_changelogs_once() -> None:
    """As when a rebalance overtakes a fetch: the first recovery stands behind the records that it needs."""
    from faust.tables.recovery import Recovery

    from streams.worker import recovery_watch

    recovery_watch.STILL_S = 3.0
    seek = Recovery._seek_offsets
    skipped = []

    async def skip(self, consumer, tps, offsets, title):  # type: ignore[no-untyped-def]
        await seek(self, consumer, tps, offsets, title)
        if title == "active" and self.need_recovery() and not skipped:
            skipped.append(title)
            for tp, end in self.active_highwaters.items():
                await consumer.seek(tp, end + 1)

    Recovery._seek_offsets = skip


def test_a_recovery_that_stands_behind_its_changelogs_begins_again(rig: Rig) -> None:
    first = rig.start_worker()
    write_generations(rig, 0, 30)
    rig.wait_decided(29)
    first.kill()
    rig.start_worker(skip_changelogs_once)
    write_generations(rig, 30, 40)
    rig.wait_decided(39, timeout_s=60.0)
    assert "recovery begins again: no changelog record came" in rig.log_of(1)
    assert_as_undisturbed(rig)


def test_a_standby_takes_over_from_a_killed_worker(rig: Rig) -> None:
    rig.settings = rig.settings.model_copy(update={"standby_replicas": 1})
    first = rig.start_worker()
    write_generations(rig, 0, 200)
    rig.wait_decided(199)
    second = rig.start_worker()
    write_generations(rig, 200, 300, pause_s=0.05)
    standby = rig.workers[rig.wait_standing_by()]
    active = first if standby is second else second
    rig.wait_decided(299)
    active.kill()
    write_generations(rig, 300, 400)
    rig.wait_decided(399)
    assert standby.poll() is None
    assert_as_undisturbed(rig)
