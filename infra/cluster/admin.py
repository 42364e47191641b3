"""An admin client that is always closed and whose errors say what to do; topic descriptions; offsets by time."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, NoError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code

from infra.cluster.clients import cluster_error, connecting
from infra.cluster.connection import connection
from infra.cluster.listener import require_listener
from infra.cluster.refusals import hidden_topic
from infra.settings import Settings
from schemas.errors import RunError
from schemas.topics import topic_name

_LISTENER_S = 5.0
_TIMEOUTS = ("bootstrap_timeout_ms", "request_timeout_ms")


@contextmanager
def administrator(settings: Settings, client_id: str = "sedi-admin", timeout_s: float | None = None) -> Iterator[Any]:
    """A KafkaAdminClient (untyped). `timeout_s` bounds connecting and each request.

    Raises BrokerError when the cluster does not answer or a request inside fails, and its subclass ClusterRefused when
    the cluster rejects the login or the request.
    """
    require_listener(settings, _LISTENER_S if timeout_s is None else timeout_s)
    limits = {} if timeout_s is None else dict.fromkeys(_TIMEOUTS, int(timeout_s * 1000))
    # The admin client rejects options that only producers and consumers have.
    config = {
        name: value
        for name, value in (connection(settings, client_id) | limits).items()
        if name in KafkaAdminClient.DEFAULT_CONFIG
    }
    with connecting(settings) as client:
        admin = KafkaAdminClient(**config, kafka_client=client)
    try:
        yield admin
    except (KafkaError, OSError) as error:
        raise cluster_error(settings, error) from error
    finally:
        admin.close()


def offsets_at(settings: Settings, run: str, topics: Iterable[str], timestamp_ms: int) -> dict[tuple[str, int], int]:
    """The first offset at or after a time, by (short topic name, partition).

    A partition without such a record is left out. Raises RunError for a missing topic, ClusterRefused for one that the
    user may not describe.
    """
    names = {topic_name(run, topic): topic for topic in topics}
    with administrator(settings) as admin:
        partitions = []
        for topic in describe_topics(settings, admin, run, names):
            if topic["error_code"]:
                raise RunError(
                    f"Run {run!r} has no topic {topic['name']}. `sedi topics plan --run {run}` shows what there is."
                )
            partitions += [TopicPartition(topic["name"], p["partition_index"]) for p in topic["partitions"]]
        found = admin.list_partition_offsets(dict.fromkeys(partitions, timestamp_ms)) if partitions else {}
    return {(names[tp.topic], tp.partition): int(at.offset) for tp, at in found.items() if at.offset >= 0}


def describe_topics(settings: Settings, admin: Any, run: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """The cluster's description of a run's topics; `error_code` is not 0 for a missing topic.

    Raises ClusterRefused for a topic that the user may not describe, whether it exists or not, and BrokerError for any
    other error.
    """
    found: list[dict[str, Any]] = admin.describe_topics(sorted(names))
    for topic in found:
        kind = for_code(topic["error_code"])
        if kind is TopicAuthorizationFailedError:
            raise hidden_topic(settings, run, topic["name"])
        if kind not in (NoError, UnknownTopicOrPartitionError):
            raise cluster_error(settings, kind(topic["name"]))
    return found
