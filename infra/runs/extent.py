"""The runs on a cluster: their topics, records, bytes and age.

Asks the brokers alone and reads no record, so it takes as long for a large run as for a small one. A run is found by
its topics, which are named `sedi.<run>.<topic>`. A topic of such a name that this program neither declares nor creates
makes no run, and is only reported.

Records are counted by offsets. A restored run is as old as its records: they keep their times.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from kafka import TopicPartition
from kafka.errors import NoError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code

from infra.cluster.admin import describe_topics
from infra.cluster.clients import cluster_error
from infra.settings import Settings
from schemas.topics import dead_letter_name, topic_name, topic_specs

_TOPIC = re.compile(r"sedi\.([a-z0-9][a-z0-9_-]{0,62})\.(.+)")
_WORKER = "worker-"  # the worker's own topics, as Faust names them: changelogs of its tables
_RETRIES = 2
_LATEST, _EARLIEST, _NEWEST, _FIRST = -1, -2, -3, 0  # offset queries; the last is a time that all records are after


class TopicExtent(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of a run, by its short name.

    records   its end offsets less its first offsets; None for a changelog, which is compacted
    bytes     on all brokers, replicas included; None: the user may not see it
    """

    name: str
    partitions: int
    records: int | None
    bytes: int | None
    first_ms: int | None
    last_ms: int | None


class RunExtent(msgspec.Struct, frozen=True, kw_only=True):
    """A run on a cluster. Records, first and last are those of its events and dead letters, not of changelogs.

    missing   short names of topics without which it is no whole run: it was half made, or half deleted
    unknown   full names of topics named like its own that this program does not know
    """

    run: str
    records: int
    bytes: int | None
    first_ms: int | None
    last_ms: int | None
    topics: tuple[TopicExtent, ...]
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def run_extents(admin: Any) -> list[RunExtent]:
    """All runs that the user may see, by name. `admin` is a KafkaAdminClient (`infra.cluster.admin.administrator`)."""
    for _ in range(_RETRIES):
        try:
            return _extents(admin)
        except UnknownTopicOrPartitionError:  # a run was deleted between two requests
            continue
    return _extents(admin)


def run_extent(settings: Settings, admin: Any, run: str) -> RunExtent | None:
    """One run; None when the cluster has no topic of it. Raises ClusterRefused when the user may not see its topics."""
    found = [extent for extent in run_extents(admin) if extent.run == run]
    if not found:
        describe_topics(settings, admin, run, [topic_name(run, "run")])  # raises when it is hidden
        return None
    return found[0]


def topics_of(settings: Settings, admin: Any, run: str) -> list[dict[str, Any]]:
    """The cluster's descriptions of a run's topics, by name; those that this program does not know are left out."""
    prefix = topic_name(run, "")
    described = sorted(admin.describe_topics(None), key=lambda topic: str(topic["name"]))
    own = [topic for topic in described if topic["name"].startswith(prefix)]
    for topic in own:
        kind = for_code(topic["error_code"])
        if kind not in (NoError, UnknownTopicOrPartitionError, TopicAuthorizationFailedError):
            raise cluster_error(settings, kind(topic["name"]))
    return [topic for topic in own if not topic["error_code"] and is_known(topic["name"].removeprefix(prefix))]


def is_known(topic: str) -> bool:
    """Whether this program declares or creates a topic of this short name."""
    return topic.startswith(_WORKER) or topic in _declared()


def end_offsets(admin: Any, run: str, extent: RunExtent) -> dict[tuple[str, int], int]:
    """The end offsets of a run's topics, changelogs included, by full name and partition."""
    places = [
        TopicPartition(topic_name(run, topic.name), partition)
        for topic in extent.topics
        for partition in range(topic.partitions)
    ]
    found = admin.list_partition_offsets(dict.fromkeys(places, _LATEST)) if places else {}
    return {(place.topic, place.partition): int(at.offset) for place, at in found.items()}


def _declared() -> frozenset[str]:
    named = {spec.name for spec in topic_specs()}
    return frozenset(named | {dead_letter_name(spec.name) for spec in topic_specs() if spec.dead_letters})


def _required() -> frozenset[str]:
    required = [spec for spec in topic_specs() if not spec.optional]
    return frozenset(
        {spec.name for spec in required} | {dead_letter_name(spec.name) for spec in required if spec.dead_letters}
    )


def _extents(admin: Any) -> list[RunExtent]:
    by_run: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
    unknown: defaultdict[str, list[str]] = defaultdict(list)
    for topic in admin.describe_topics(None):
        if topic["error_code"]:
            continue
        if match := _TOPIC.fullmatch(topic["name"]):
            run, short = match.groups()
            if is_known(short):
                by_run[run][short] = sorted(part["partition_index"] for part in topic["partitions"])
            else:
                unknown[run].append(topic["name"])
    places = [
        TopicPartition(topic_name(run, topic), partition)
        for run, topics in by_run.items()
        for topic, partitions in topics.items()
        for partition in partitions
    ]
    if not places:
        return []
    queries = (_EARLIEST, _LATEST, _FIRST, _NEWEST)
    found = {query: admin.list_partition_offsets(dict.fromkeys(places, query)) for query in queries}
    sizes = _bytes(admin, {topic_name(run, topic): parts for run in by_run for topic, parts in by_run[run].items()})
    return [_extent(run, by_run[run], tuple(sorted(unknown[run])), found, sizes) for run in sorted(by_run)]


def _extent(
    run: str,
    topics: Mapping[str, list[int]],
    unknown: tuple[str, ...],
    found: Mapping[int, Mapping[Any, Any]],
    sizes: Mapping[str, int] | None,
) -> RunExtent:
    extents = []
    for topic, partitions in sorted(topics.items()):
        name = topic_name(run, topic)
        places = [TopicPartition(name, partition) for partition in partitions]
        records = sum(int(found[_LATEST][place].offset) - int(found[_EARLIEST][place].offset) for place in places)
        first, last = (
            [int(found[query][place].timestamp) for place in places if found[query][place].offset >= 0]
            for query in (_FIRST, _NEWEST)
        )
        extents.append(
            TopicExtent(
                name=topic,
                partitions=len(partitions),
                records=None if topic.startswith(_WORKER) else records,
                bytes=None if sizes is None else sizes.get(name, 0),
                first_ms=min(first, default=None),
                last_ms=max(last, default=None),
            )
        )
    events = [extent for extent in extents if extent.records is not None]
    return RunExtent(
        run=run,
        records=sum(extent.records or 0 for extent in events),
        bytes=None if sizes is None else sum(extent.bytes or 0 for extent in extents),
        first_ms=min((extent.first_ms for extent in events if extent.first_ms is not None), default=None),
        last_ms=max((extent.last_ms for extent in events if extent.last_ms is not None), default=None),
        topics=tuple(extents),
        missing=tuple(sorted(_required() - topics.keys())),
        unknown=unknown,
    )


def _bytes(admin: Any, partitions: dict[str, list[int]]) -> dict[str, int] | None:
    """Bytes of each topic on all brokers; None where a broker shows no folder, since the user lacks Describe on the
    cluster (the client drops that error)."""
    sizes: defaultdict[str, int] = defaultdict(int)
    for broker in admin.describe_log_dirs(partitions):
        if not broker["log_dirs"]:
            return None
        for folder in broker["log_dirs"]:
            for topic in folder["topics"]:
                sizes[topic["name"]] += sum(int(part["partition_size"]) for part in topic["partitions"])
    return sizes
