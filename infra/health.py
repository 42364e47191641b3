"""Asking a Kafka cluster whether it works: one DescribeCluster call, with a bound on how long it may take."""

import socket
from dataclasses import dataclass

from infra.admin import administrator
from infra.settings import Settings
from schemas.errors import BrokerError


@dataclass(frozen=True)
class Cluster:
    """What a cluster says of itself. `brokers` are the host:port of those that serve clients."""

    cluster_id: str
    brokers: tuple[str, ...]


def ask(settings: Settings, timeout_s: float = 5.0) -> Cluster:
    """The cluster that the settings name. Raises BrokerError when it does not answer in time, or refuses."""
    try:
        _connect(settings, timeout_s)
    except (OSError, ValueError) as error:
        raise _silent(settings, error) from error
    with administrator(settings, "sedi-health", timeout_s) as admin:
        described = admin.describe_cluster()
    brokers = [broker for broker in described["brokers"] if not broker.get("is_fenced", False)]
    return Cluster(described["cluster_id"], tuple(f"{broker['host']}:{broker['port']}" for broker in brokers))


def _connect(settings: Settings, timeout_s: float) -> None:
    """Raise OSError unless one of the bootstrap servers takes a connection (ValueError for what is no host:port).

    The client below would say only that time is up, and leak a socket for each refusal.
    """
    servers = settings.bootstrap_servers.split(",")
    for server in servers:
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout_s / len(servers)).close()
            return
        except (OSError, ValueError) as error:
            refused = error
    raise refused


def _silent(settings: Settings, error: Exception) -> BrokerError:
    return BrokerError(
        f"No Kafka answers at {settings.bootstrap_servers} ({type(error).__name__}: {error}). Start the local one with "
        "`sedi broker start`, or set SEDI_BOOTSTRAP_SERVERS, and SEDI_SECURITY_PROTOCOL if the cluster needs it."
    )
