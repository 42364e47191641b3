"""An administrator's connection to the cluster, closed whatever happens, with errors that say what to do."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaConfigurationError, KafkaError
from kafka.net.compat import KafkaNetClient

from infra.connection import connection, require_listener
from infra.settings import Settings
from schemas.errors import BrokerError, ConfigurationError, RunError
from schemas.topics import topic_name

_LISTENER_S = 5.0


@contextmanager
def administrator(settings: Settings, client_id: str = "sedi-admin", timeout_s: float | None = None) -> Iterator[Any]:
    """A KafkaAdminClient (which has no types). `timeout_s` bounds the connecting and each request.

    Raises BrokerError when the cluster does not answer, on connecting and for whatever Kafka refuses inside.
    """
    require_listener(settings, _LISTENER_S if timeout_s is None else timeout_s)
    made: list[Any] = []

    def client(**config: Any) -> Any:
        made.append(KafkaNetClient(**config))
        return made[-1]

    if timeout_s is not None:
        limits = {"bootstrap_timeout_ms": int(timeout_s * 1000), "request_timeout_ms": int(timeout_s * 1000)}
    else:
        limits = {}
    # Options that a producer or consumer has and an administrator has not would be refused.
    config = {
        name: value
        for name, value in (connection(settings, client_id) | limits).items()
        if name in KafkaAdminClient.DEFAULT_CONFIG
    }
    try:
        admin = KafkaAdminClient(**config, kafka_client=client)
    except KafkaConfigurationError as error:
        raise ConfigurationError(f"Kafka's client refuses its settings: {error}. See `sedi doctor`.") from error
    except (KafkaError, OSError) as error:
        # An administrator that never reached its cluster leaves its thread and sockets behind.
        for left in made:
            left.close()
            left._net.stop()
        raise BrokerError(
            f"The Kafka cluster at {settings.bootstrap_servers} does not answer ({type(error).__name__}: {error}). "
            "Start the local one with `sedi broker start`, or set SEDI_BOOTSTRAP_SERVERS."
        ) from error
    try:
        yield admin
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"The Kafka cluster at {settings.bootstrap_servers} refused ({type(error).__name__}: {error}). "
            "See `sedi broker status`, and what this user may do there."
        ) from error
    finally:
        admin.close()


def offsets_at(settings: Settings, run: str, topics: Iterable[str], timestamp_ms: int) -> dict[tuple[str, int], int]:
    """The first offset at or after a time, for each partition that has one: by (topic's short name, partition).

    A partition without a record that new is left out. Raises RunError for a topic that is not there.
    """
    names = {topic_name(run, topic): topic for topic in topics}
    with administrator(settings) as admin:
        partitions = _partitions(admin, run, names)
        found = admin.list_partition_offsets(dict.fromkeys(partitions, timestamp_ms)) if partitions else {}
    return {(names[tp.topic], tp.partition): int(at.offset) for tp, at in found.items() if at.offset >= 0}


def _partitions(admin: Any, run: str, names: Mapping[str, str]) -> list[TopicPartition]:
    partitions = []
    for topic in admin.describe_topics(sorted(names)):
        if topic["error_code"]:
            raise RunError(
                f"Run {run!r} has no topic {topic['name']}. `sedi topics plan --run {run}` shows what there is."
            )
        partitions += [TopicPartition(topic["name"], p["partition_index"]) for p in topic["partitions"]]
    return partitions
