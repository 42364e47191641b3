"""What a worker cannot read it puts aside, in every topic; once it can be read it is put back and judged."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.dead_letters import missing
from consumers.report import report
from infra.cluster.connection import MAX_RECORD_BYTES
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import TOPICS, KafkaSource
from infra.log.writer import LogWriter
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.events import BatchRow, Event, ReplaceSeeds, StepLogged, TrainingLogged
from schemas.policy import policy_for
from schemas.registry import SPECS, spec_of
from sedi.main import main
from tests.integration.consumers import updated
from tests.integration.raw_records import RawRecord, write_raw
from tests.integration.worker.driver import Rig, generation, seeds
from tests.unit.trainer.tiny import kept


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(broker.settings, run, policy_for(batch_size=2), tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


def put_as_next_version(writer: LogWriter, topic: str, event: Event, id: str) -> int:
    """What a newer program writes: a version that this one does not know."""
    key, value, headers = encode(event, id, Meta(id, "/sedi/newer/test", "2026-11-21T08:00:00Z"))
    spec = spec_of(type(event))
    known, next_one = f".v{spec.version}".encode(), f".v{spec.version + 1}".encode()
    newer = [(name, said.replace(known, next_one) if name == "ce_type" else said) for name, said in headers]
    return writer.put(topic, 0, key, value, newer).offset


def window(number: int) -> TrainingLogged:
    row = BatchRow(id="unknown", slot=0, cluster=0, generated_offset=0)
    step = StepLogged(
        step=number + 1,
        loss=1.0,
        loss_variance=0.1,
        grad_norm=1.0,
        learning_rate=0.1,
        tokens=5,
        seconds=0.1,
        rows=(row,),
    )
    return TrainingLogged(window=number, epoch=1, model="m", steps=(step,))


def write(writer: LogWriter, number: int) -> int:
    id = ids.generation_id("g0", number)
    return writer.write(generation(number, seeds()), key=id, id=id).offset


def wait_until(true: Any, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def dlq(rig: Rig, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    servers = ["--run", rig.run, "--bootstrap-servers", rig.settings.bootstrap_servers]
    code = main(["dlq", *arguments, *servers, "--json"])
    printed = capsys.readouterr().out
    return code, json.loads(printed) if printed else None


@pytest.mark.timeout(280)
def test_what_a_newer_program_wrote_is_put_aside_and_decided_after_the_update(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = KafkaSource(rig.settings, rig.run)
    with rig.writer() as writer:
        write(writer, 0)
        newer = ids.generation_id("g0", 1)
        put_as_next_version(writer, "generated", generation(1, seeds()), newer)
        last = write(writer, 2)
        put_as_next_version(writer, "training-log", window(0), ids.window_id(1, 0))
        writer.write(window(1), key="1/1", id=ids.window_id(1, 1))

    rig.start_worker()
    rig.wait_decided(last)
    wait_until(lambda: len(rig.records("training-log.dlq", "generated.dlq")) == 2)
    wait_until(lambda: len(rig.records("seed-commands")) == 1)
    rig.stop_workers()
    assert report(source).accounted
    code, listed = dlq(rig, capsys, "list")
    assert code == 0
    assert [(x["topic"], x["from_offset"], x["retried_as"]) for x in listed] == [
        ("generated", 1, None),
        ("training-log", 0, None),
    ]
    assert (
        f"InstructionsGenerated v{SPECS['InstructionsGenerated'].version + 1} is not known here" in listed[0]["error"]
    )
    code, refused = dlq(rig, capsys, "retry", "--all")
    assert (code, refused["retried"], refused["refused"]) == (1, 0, 2)
    assert len(rig.records("generated")) == 3

    updated.install(monkeypatch.setitem)
    assert report(source).accounted  # it can be read now, but the filter's word on it stays
    rig.start_worker(updated.install)
    code, done = dlq(rig, capsys, "retry", "--all")
    assert (code, [x["retried_as"] for x in done["letters"]]) == (0, [3, 2])
    rig.wait_decided(3)
    wait_until(lambda: len(rig.records("seed-commands")) == 2)

    again = rig.records("generated")[3]
    first = rig.records("generated")[1]
    assert (again.key, again.value, again.headers[:-1]) == (first.key, first.value, first.headers)
    assert again.headers[-1] == ("sedi_retry_of", b"generated.dlq@0")
    found = report(source)
    assert found.accounted, found.unaccounted_first
    assert (found.generations, found.generated, found.dead_letters) == (3, 9, {"generated": 1, "training-log": 1})
    decided = {r.event.generated_offset for r in rig.records("kept") if r.event is not None}  # type: ignore[attr-defined]
    assert 3 in decided and 1 not in decided
    answered = [r.event.window for r in rig.records("seed-commands") if isinstance(r.event, ReplaceSeeds)]
    assert answered == [1, 0]

    code, refused = dlq(rig, capsys, "retry", "generated", "0")
    assert code == 1 and "--again" in refused["letters"][0]["refused"]
    code, done = dlq(rig, capsys, "retry", "generated", "0", "--again")
    assert (code, done["letters"][0]["retried_as"]) == (0, 4)
    rig.wait_decided(4)
    found = report(source)  # the updated program reads the window where it first stood, too
    assert found.accounted and (found.generations, found.duplicates) == (3, {"generated": 1, "training-log": 1})
    assert [x["retried_as"] for x in dlq(rig, capsys, "list", "--topic", "generated")[1]] == [4]
    assert missing(source) == []


@pytest.mark.timeout(280)
def test_what_cannot_be_read_or_is_out_of_place_in_any_topic_is_put_aside_once_also_over_restarts(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    source = KafkaSource(rig.settings, rig.run)
    with rig.writer() as writer:
        last = write(writer, 0)
        for topic in TOPICS:
            writer.put(topic, 0, b"k", b"not json", [("ce_type", b"sedi.RunStopped.v1"), ("raw", b"\xff")])
        row = kept(0, cluster=0)
        _, value, headers = encode(row, row.id, Meta(row.id, "/sedi/x/y", "2026-11-21T08:00:00Z"))
        writer.put("kept", 1, b"row", value, headers)  # of cluster 0
        writer.put("calls", 0, b"row", value, headers)
        writer.put("rejected", 0, None, b"x" * (MAX_RECORD_BYTES - 200), [])
        writer.put("generated", 0, None, b"x" * (MAX_RECORD_BYTES - 200), [])
        raw = [
            RawRecord(topic, 0, key, value, headers)
            for topic in TOPICS
            for key, value, headers in ((None, None, []), (b"k", b"{}", [("ce_type", None)]))
        ]
        write_raw(rig.settings, rig.run, raw)
        last = write(writer, 1)
    expected = 3 * len(TOPICS) + 4

    rig.start_worker()
    rig.wait_decided(last)
    wait_until(lambda: missing(source) == [])
    rig.stop_workers()
    with rig.writer() as writer:
        last = write(writer, 2)
        writer.put("run", 0, None, b"", [])
    rig.start_worker()
    rig.wait_decided(last)
    wait_until(lambda: missing(source) == [])

    code, listed = dlq(rig, capsys, "list")
    assert code == 0 and len(listed) == expected + 1
    # seed commands are read again at every start; everything else was looked at once
    assert {x["topic"] for x in listed if x["copies"] > 1} <= {"seed-commands", "training-log"}
    by_origin = {(x["topic"], x["from_partition"], x["from_offset"]): x for x in listed}
    assert "belongs in the partition of its cluster" in by_origin["kept", 1, 0]["error"]
    code, shown = dlq(rig, capsys, "show", "calls", str(by_origin["calls", 0, 1]["offset"]))
    assert (shown["key"], shown["value"].encode()) == ("row", value)
    assert "belongs on `kept`" in shown["unreadable"]
    for topic, came_from in (("generated", 2), ("rejected", 1)):
        shown = dlq(rig, capsys, "show", topic, str(by_origin[topic, 0, came_from]["offset"]))[1]
        assert shown["left_out"] and len(shown["value"]) == MAX_RECORD_BYTES - 200
    assert all(worker.returncode in (0, None) for worker in rig.workers)
    assert dlq(rig, capsys, "show", "generated", "999")[0] == 1
