"""The filters that `benchmarks.filter` compares, each a process: `python -m benchmarks.filter_sides SIDE JOB`.

worker   ours, as `sedi worker` runs it, its processor time sampled by part
quix     our decider (`streams.core.decider`) in a Quix Streams application. The filter's state is in its memory, as in
         ours, since no index can be in a store of keys; each decision is put into the application's state: RocksDB
         with a changelog topic, which is our kept table. Quix Streams writes, flushes and commits every five seconds
bare     a consumer and a producer of confluent-kafka, which decide nothing: for each generation it writes as many
         records of as many bytes as ours, in blocks of 500, each confirmed before the position moves on

When one is about to read the first record it writes a line with `ACTIVE` to standard error, as our worker logs.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.settings import Settings

ACTIVE = "active from offset"
KEPT_PARTITIONS = 16
_BLOCK = 500


@dataclass(frozen=True)
class Job:
    """What one process is to do; settings come from the environment.

    base        offset of `generated` to begin at; what is before it is in the kept table of the run
    kept        kept rows of a generation, on average, and their bytes and those of a verdict, for `bare`
    parts       file for the samples of the worker; empty for none
    """

    run: str
    base: int
    kept: float
    kept_bytes: int
    verdict_bytes: int
    parts: str

    def group(self, side: str) -> str:
        return f"bench.{side}.{self.run}"

    def topic(self, side: str, name: str) -> str:
        """The output topic of another side than the worker."""
        return f"bench.{side}.{self.run}.{name}"

    def text(self) -> str:
        return json.dumps(asdict(self))


def _worker(job: Job) -> int:
    from benchmarks.cpu_parts import CpuParts
    from sedi.main import main

    with CpuParts(Path(job.parts)) if job.parts else nullcontext():
        return main(["worker", "--run", job.run, "--log-level", "INFO"])


@dataclass(frozen=True)
class _Output:
    """A record that the Quix application writes."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def _quix(job: Job) -> int:
    from quixstreams import Application, message_context
    from quixstreams.models import Serializer, TopicConfig

    from schemas.topics import topic_name

    class Value(Serializer):
        def __call__(self, value: Any, *_: Any, **__: Any) -> bytes:
            output: bytes = value.value
            return output

    settings = Settings()
    state, origin = _recovered(settings, job), f"/sedi/{job.run}/quix"
    app = Application(
        settings.bootstrap_servers,
        consumer_group=job.group("quix"),
        auto_offset_reset="earliest",
        state_dir=settings.state_dir / "quix" / job.run,
        consumer_poll_timeout=0.1,
        loglevel="WARNING",
    )
    generated = app.topic(topic_name(job.run, "generated"), value_deserializer="bytes", key_deserializer="bytes")
    outputs = {
        name: app.topic(
            job.topic("quix", name),
            value_serializer=Value(),
            key_serializer="bytes",
            config=TopicConfig(num_partitions=partitions, replication_factor=1),
        )
        for name, partitions in (("kept", KEPT_PARTITIONS), ("rejected", 1), ("run", 1))
    }
    seen = False

    def decide(value: bytes, key: bytes, timestamp: int, headers: Any, store: Any) -> list[_Output]:
        nonlocal seen
        if not seen:
            print(ACTIVE, job.base, file=sys.stderr, flush=True)
            seen = True
        offset = message_context().offset
        found = list(_decided(state, offset, timestamp, key, value, headers or (), origin))
        store.set_bytes("decision", found.pop(0).value)
        return found

    frame = app.dataframe(generated).apply(decide, stateful=True, metadata=True, expand=True)
    frame = frame.set_headers(lambda output, *_: output.headers)
    frame.to_topic(lambda output, *_: outputs[output.topic], key=lambda output: output.key)
    app.run()
    return 0


def _recovered(settings: Settings, job: Job) -> Any:
    """The filter's state before `base`, from the kept table that the run was made with."""
    import msgspec

    from infra.log.archiving import TABLES
    from infra.log.run import read_run
    from infra.log.source import KafkaSource
    from streams.core import decider

    configured, classifiers = read_run(settings, job.run)
    state = decider.initial_state(configured)
    if job.base:
        with KafkaSource(settings, job.run).open([TABLES[0]]) as reading:
            values = (record.value for record in reading.rest() if int(record.key or b"0") < job.base)
            decider.restore(state, (msgspec.json.decode(value or b"", type=decider.Decision) for value in values))
    return decider.use_classifier(state, [each for each in classifiers if each.from_offset <= job.base][-1])


def _decided(
    state: Any, offset: int, timestamp: int, key: bytes, value: bytes, headers: Any, origin: str
) -> Iterator[_Output]:
    """The decision, for the state, and then the records of a generation, as the worker makes them."""
    import msgspec

    from infra.log.record import Record, now
    from schemas import ids
    from schemas.envelope import Meta, encode
    from streams.core import decider

    record = Record("generated", 0, offset, timestamp, key, value, headers)
    verdict = decider.decide(state, offset, record.id, record.event)  # type: ignore[arg-type]
    yield _Output("", b"", msgspec.json.encode(verdict.decision), [])
    for row in verdict.decision.kept:
        yield _Output("kept", *encode(row, row.id, Meta(row.id, origin, now(), record.id)))
    yield _Output(
        "rejected", *encode(verdict.rejected, record.id, Meta(ids.verdict_id(offset), origin, now(), record.id))
    )
    decider.apply(state, verdict.decision)
    due = decider.due_classifier(state)
    if due is not None:
        decider.use_classifier(state, due)
        yield _Output("run", *encode(due, "run", Meta(ids.classifier_id(due.from_offset), origin, now())))


def _bare(job: Job) -> int:
    from confluent_kafka import Consumer, Producer

    from schemas.topics import topic_name

    where = {"bootstrap.servers": Settings().bootstrap_servers}
    consumer = Consumer(
        {**where, "group.id": job.group("bare"), "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    producer = Producer({**where, "acks": "all", "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
    consumer.subscribe([topic_name(job.run, "generated")])
    kept, rejected = job.topic("bare", "kept"), job.topic("bare", "rejected")
    active, due = False, 0.0
    while True:
        block = consumer.consume(_BLOCK, timeout=0.1)
        if block and not active:
            print(ACTIVE, block[0].offset(), file=sys.stderr, flush=True)
            active = True
        for record in block:
            value, due = record.value(), due + job.kept
            text = value * (1 + max(job.kept_bytes, job.verdict_bytes) // max(1, len(value)))
            for row in range(int(due)):
                producer.produce(kept, text[: job.kept_bytes], record.key(), partition=row % KEPT_PARTITIONS)
            due -= int(due)
            producer.produce(rejected, text[: job.verdict_bytes], record.key(), partition=0)
        if block:
            producer.flush()
            consumer.commit(asynchronous=False)


_SIDES = {"worker": _worker, "quix": _quix, "bare": _bare}

if __name__ == "__main__":
    sys.exit(_SIDES[sys.argv[1]](Job(**json.loads(sys.argv[2]))))
