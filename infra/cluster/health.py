"""A cluster's health: one DescribeCluster request with a timeout."""

from dataclasses import dataclass

from infra.cluster.admin import administrator
from infra.settings import Settings


@dataclass(frozen=True)
class ClusterHealth:
    """A cluster's id, and the host:port of each broker that serves clients."""

    cluster_id: str
    brokers: tuple[str, ...]


def cluster_health(settings: Settings, timeout_s: float = 5.0) -> ClusterHealth:
    """The health of the configured cluster. Raises BrokerError when it does not answer in time, or refuses."""
    with administrator(settings, "sedi-health", timeout_s) as admin:
        described = admin.describe_cluster()
    brokers = [broker for broker in described["brokers"] if not broker.get("is_fenced", False)]
    return ClusterHealth(described["cluster_id"], tuple(f"{broker['host']}:{broker['port']}" for broker in brokers))
