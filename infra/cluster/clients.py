"""kafka-python's clients as we make them: a refusal is final, and a client that cannot be made leaves nothing behind.

By itself a client tries to connect until its time is up and then says that it is; that its password was wrong, or the
certificate not trusted, stands in its log only. Here its first connections are watched: once every bootstrap server has
refused us in a way that trying again cannot change, no further login is tried and the refusal is what is raised. After
that the client is left to itself: a broker that restarts may refuse for a moment.

`cluster_error` is the one place that turns what a client raises into an error of ours.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaConfigurationError, KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from infra.cluster.listener import mismatch
from infra.cluster.refusals import Right, away, failed, refusal
from infra.settings import Settings
from schemas.errors import BrokerError, ClusterRefused, ConfigurationError

_TIME_IS_UP = re.compile(r"timed out|timeout", re.IGNORECASE)


def cluster_error(settings: Settings, error: BaseException, right: Right | None = None) -> BrokerError:
    """What an error of kafka-python, aiokafka, Faust or the system is: ClusterRefused, which lasts, or BrokerError.

    `right` is the right that was needed for what failed: authorization errors do not name the operation.
    """
    refused = refusal(settings, error, right)
    if refused is not None:
        return refused
    answered = "BrokerResponseError" in {kind.__name__ for kind in type(error).__mro__}
    passing = getattr(error, "retriable", False)
    return (failed if answered and not passing else away)(settings, _shown(error))


@contextmanager
def connecting(settings: Settings) -> Iterator[Callable[..., Any]]:
    """Gives the `kafka_client` for the configuration of the one client that is made inside.

    Raises ConfigurationError for settings that the client does not take, ClusterRefused, and BrokerError when the
    cluster does not answer; no thread or socket of the client is left then.
    """
    made: list[Any] = []

    def client(**config: Any) -> Any:
        net = NetworkSelector(**config)
        made.append(KafkaNetClient(net=net, manager=_Manager(settings, net, **config), **config))
        return made[-1]

    try:
        yield client
    except KafkaConfigurationError as error:
        raise ConfigurationError(f"Kafka's client refuses its settings: {error}. See `sedi doctor`.") from error
    except (KafkaError, OSError) as error:
        for left in made:
            left.close()
            left._net.stop()
        raise cluster_error(settings, error) from error


class _Refused(KafkaError):  # type: ignore[misc]
    """Stands among a client's own errors for a refusal that is known; it is the error's cause."""


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Watches how the connections to the bootstrap servers end."""

    def __init__(self, settings: Settings, net: Any, **config: Any) -> None:
        super().__init__(net, **config)
        self._settings = settings
        self._refusals: dict[str, ClusterRefused] = {}
        self._asked: set[str] = set()

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv

        def received() -> tuple[bytes, BaseException | None]:
            # kafka-python 3.0.12 throws away what came right before a connection was closed: why a login was refused.
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
            told = next(iter(self._refusals.values()))
            raise _Refused(str(told)) from told

    def _see(self, node_id: str, error: BaseException) -> None:
        found = refusal(self._settings, error)
        if found is None and node_id not in self._asked and not _TIME_IS_UP.search(str(error)):
            self._asked.add(node_id)
            node = self.cluster.broker_metadata(node_id)
            found = mismatch(self._settings, node.host, node.port)
        if found is not None:
            self._refusals[node_id] = found


def _shown(error: BaseException) -> str:
    text = str(error).strip()
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
