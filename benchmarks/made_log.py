"""A large run's log, written straight to a broker: up to millions of rows in minutes, for what reads a log.

    with temporary_broker(settings, short_lived=False) as broker:
        write(broker.settings, MadeRun(rows=1_000_000))

or on a broker that is there: `python -m benchmarks.made_log --rows 1000000 --run made --bootstrap-servers HOST:PORT`.

It has what a run has: configuration and classifier, calls, generations, kept rows by cluster, rejections; if asked for,
answers, judgements and training windows; and the worker's tables, so that a worker starts on it. Texts are those of
`benchmarks.texts`, all different. The verdicts are made, not decided: of each generation the last instruction is an
earlier one again and rejected, the others are kept, and clusters are dealt by a checksum. So an audit finds
differences, and nothing else does. The same arguments make the same events. The last classifier is in force after the
last generation, so a worker refits no sooner than a real run of that size would.
"""

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.made_records import MadeRun, records
from infra.cluster.admin import administrator
from infra.cluster.topics import apply
from infra.log.archiving import TABLES
from infra.log.record_batches import append, bulk_producer
from infra.settings import Settings, load
from schemas.topics import topic_name

Step = Callable[..., None]

_IN_FLIGHT = 8


def write(settings: Settings, made: MadeRun, step: Step = lambda *_: None) -> int:
    """Write the run to the cluster of these settings; returns the number of records. The run must not be there yet."""
    apply(settings, made.run, made.policy.clusters)
    names = [topic_name(made.run, table) for table in TABLES]
    with administrator(settings) as admin:
        one = {"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": "compact"}}
        admin.create_topics(dict.fromkeys(names, one))
        admin.wait_for_topics(names)
    return asyncio.run(_write(settings, made, step))


async def _write(settings: Settings, made: MadeRun, step: Step) -> int:
    count, pending = 0, deque[Awaitable[Any]]()
    async with bulk_producer(settings, f"sedi-{made.run}-made") as producer:
        batches: dict[tuple[str, int], Any] = {}

        async def send(place: tuple[str, int]) -> None:
            name = topic_name(made.run, place[0])
            pending.append(await producer.send_batch(batches.pop(place), name, partition=place[1]))
            if len(pending) > _IN_FLIGHT:
                await pending.popleft()

        for count, record in enumerate(records(made), start=1):
            place = record.topic, record.partition
            content = record.timestamp_ms, record.key, record.value, record.headers
            if place not in batches or not append(batches[place], content):
                if place in batches:
                    await send(place)
                batches[place] = producer.create_batch()
                append(batches[place], content)
            if count % 50_000 == 0:
                step("writing a log", count, made.rows * 2)
        for place in list(batches):
            await send(place)
        for each in pending:
            await each
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--run", default="made")
    parser.add_argument("--bootstrap-servers", required=True)
    for name in ("answered", "judged", "trained"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    made = MadeRun(options.rows, options.run, options.answered, options.judged, options.trained)
    began = time.monotonic()
    count = write(load(bootstrap_servers=options.bootstrap_servers), made, lambda *said: print(*said, flush=True))
    print(f"{count:,} records in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
