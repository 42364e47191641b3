"""A run's log in memory: written events come back as records, encoded and decoded as on the cluster."""

from collections import defaultdict
from typing import Any

from infra.log.record import Record
from infra.tracing.context import traceparent_of
from producers.generate.progress import LaneProgress
from schemas.envelope import Meta, encode
from schemas.events import Event, RunConfigured
from schemas.policy import Policy
from schemas.registry import spec_of
from schemas.seeds import SeedTask

SEEDS = tuple(SeedTask(id=f"s{n}", instruction=f"Do thing {n} now.") for n in range(20))


def configured(policy: Policy | None = None) -> RunConfigured:
    return RunConfigured(run="r", policy=policy or Policy(), seeds=SEEDS, versions={})


class MemoryLog:
    """Stands in for a LogWriter, and for reading what is new since the last `refresh` of a progress."""

    run = "r"

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._ends: dict[str, int] = defaultdict(int)
        self._applied: dict[int, int] = {}

    def send(self, event: Event, *, key: str, id: str, causation_id: str | None = None, partition: int = 0) -> Record:
        topic = spec_of(type(event)).topic
        traceparent = traceparent_of(self.run, event, id)
        meta = Meta(id, "/sedi/r/test", "2026-01-01T00:00:00Z", causation_id, traceparent=traceparent)
        raw_key, value, headers = encode(event, key, meta)
        record = Record(topic, partition, self._ends[topic], 0, raw_key, value, headers)
        self._ends[topic] += 1
        self.records.append(record)
        return record

    def wait(self, written: Any) -> Any:
        return written

    def refresh(self, progress: LaneProgress) -> LaneProgress:
        start = self._applied.get(id(progress), 0)
        for record in self.records[start:]:
            progress.apply(record)
        self._applied[id(progress)] = len(self.records)
        return progress

    def events(self, kind: type[Event]) -> list[Any]:
        return [record.event for record in self.records if isinstance(record.event, kind)]
