"""Creates kafka-python clients that fail fast on a refusal and leave no thread or socket behind when they fail.

By itself a client retries until a timeout and raises only that; a wrong password or an untrusted certificate is in its
log alone. Here the first connections are observed: once every bootstrap server has refused in a way that a retry cannot
change, no further login is tried and the refusal is raised. After bootstrap the client retries as usual, because a
restarting broker may refuse for a moment.

`cluster_error` is the one place that translates client errors into ours.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaConfigurationError, KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from infra.cluster.listener import protocol_mismatch
from infra.cluster.refusals import Right, error_response, refusal, unreachable
from infra.settings import Settings
from schemas.errors import BrokerError, ClusterRefused, ConfigurationError

_TIMEOUT = re.compile(r"timed out|timeout", re.IGNORECASE)


def cluster_error(settings: Settings, error: BaseException, right: Right | None = None) -> BrokerError:
    """An error of kafka-python, aiokafka, Faust or the system as ours: ClusterRefused if permanent, else BrokerError.

    `right` is what the failed operation needed: authorization errors do not name it.
    """
    refused = refusal(settings, error, right)
    if refused is not None:
        return refused
    answered = "BrokerResponseError" in {kind.__name__ for kind in type(error).__mro__}
    retriable = getattr(error, "retriable", False)
    return (error_response if answered and not retriable else unreachable)(settings, _shown(error))


@contextmanager
def connecting(settings: Settings) -> Iterator[Callable[..., Any]]:
    """Yields the `kafka_client` factory for the one client that is created inside.

    Raises ConfigurationError for settings that the client rejects, ClusterRefused, and BrokerError when the cluster
    does not answer; the client's threads and sockets are closed then.
    """
    made: list[Any] = []

    def client(**config: Any) -> Any:
        net = NetworkSelector(**config)
        made.append(KafkaNetClient(net=net, manager=_Manager(settings, net, **config), **config))
        return made[-1]

    try:
        yield client
    except KafkaConfigurationError as error:
        raise ConfigurationError(f"The Kafka client rejects its settings: {error}. See `sedi doctor`.") from error
    except (KafkaError, OSError) as error:
        for left in made:
            left.close()
            left._net.stop()
        raise cluster_error(settings, error) from error


class _Refused(KafkaError):  # type: ignore[misc]
    """Raised inside a client so that it stops retrying; its cause is the ClusterRefused."""


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Observes how the connections to the bootstrap servers end."""

    def __init__(self, settings: Settings, net: Any, **config: Any) -> None:
        super().__init__(net, **config)
        self._settings = settings
        self._refusals: dict[str, ClusterRefused] = {}
        self._probed: set[str] = set()

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv

        def received() -> tuple[bytes, BaseException | None]:
            # kafka-python 3.0.12 drops data that arrives right before the close: the reason of a refused login.
            data, error = receive()
            return data, None if data else error

        transport._sock_recv = received
        return transport

    def get_connection(self, node_id: Any, *arguments: Any, **options: Any) -> Any:
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *arguments, **options)
        if connection is not known and self.cluster.is_bootstrap(node_id) and not self.bootstrapped:
            for end in (connection.init_future, connection.close_future):
                end.add_errback(lambda error: self._see(node_id, error))
        return connection

    def maybe_raise_auth_failure(self, node_id: Any) -> None:
        super().maybe_raise_auth_failure(node_id)
        if self._refusals and len(self._refusals) == len(self.cluster.bootstrap_brokers()) and not self.bootstrapped:
            refused = next(iter(self._refusals.values()))
            raise _Refused(str(refused)) from refused

    def _see(self, node_id: str, error: BaseException) -> None:
        found = refusal(self._settings, error)
        if found is None and node_id not in self._probed and not _TIMEOUT.search(str(error)):
            self._probed.add(node_id)
            node = self.cluster.broker_metadata(node_id)
            found = protocol_mismatch(self._settings, node.host, node.port)
        if found is not None:
            self._refusals[node_id] = found


def _shown(error: BaseException) -> str:
    text = str(error).strip()
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
