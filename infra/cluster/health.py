"""Asking a Kafka cluster whether it works: one DescribeCluster call, with a bound on how long it may take."""

from dataclasses import dataclass

from infra.cluster.admin import administrator
from infra.settings import Settings


@dataclass(frozen=True)
class ClusterHealth:
    """What a cluster says of itself. `brokers` are the host:port of those that serve clients."""

    cluster_id: str
    brokers: tuple[str, ...]


def ask(settings: Settings, timeout_s: float = 5.0) -> ClusterHealth:
    """The cluster that the settings name. Raises BrokerError when it does not answer in time, or refuses."""
    with administrator(settings, "sedi-health", timeout_s) as admin:
        described = admin.describe_cluster()
    brokers = [broker for broker in described["brokers"] if not broker.get("is_fenced", False)]
    return ClusterHealth(described["cluster_id"], tuple(f"{broker['host']}:{broker['port']}" for broker in brokers))
