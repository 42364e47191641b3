"""Probes a bootstrap server without a Kafka client: whether it listens, and with which security protocol.

A client with the wrong security protocol only sees its connection closed, as by a restarting broker. So a server that
closes connections is sent a SaslHandshake: every listener of a Kafka broker answers it, in its own protocol, with the
SASL mechanisms it accepts (none: it requires no login). No secret is sent. The client certificate of the settings, if
any, is presented as to the cluster itself.
"""

import socket
import ssl
import struct
from contextlib import nullcontext
from dataclasses import dataclass

from infra.cluster.connection import load_client_certificate
from infra.cluster.refusals import requires_certificate, start_hint
from infra.settings import Settings
from schemas.errors import BrokerError, ClusterRefused

_RESPONSE_S = 1.0
_MAX_BYTES = 64 * 1024
_SASL_HANDSHAKE, _VERSION, _NUMBER = 17, 1, 1


@dataclass(frozen=True)
class ListenerProtocol:
    """A listener's security protocol. `mechanisms` are its SASL mechanisms, none where it requires no login.

    `certificate`: it requires a client certificate, and reveals nothing more without one.
    """

    tls: bool
    mechanisms: tuple[str, ...]
    certificate: bool = False

    @property
    def protocol(self) -> str:
        """As SEDI_SECURITY_PROTOCOL names it."""
        return ("SASL_" if self.mechanisms else "") + ("SSL" if self.tls else "PLAINTEXT")


def require_listener(settings: Settings, timeout_s: float = 3.0) -> None:
    """Raise BrokerError unless one of the bootstrap servers takes a connection within the time.

    Called before a client is created: a client would retry, report only a timeout, and leak a socket per refusal.
    """
    servers = settings.bootstrap_servers.split(",")
    for server in servers:
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout_s / len(servers)).close()
            return
        except (OSError, ValueError) as error:
            refused = error
    raise BrokerError(
        f"Nothing listens at {settings.bootstrap_servers} ({refused}). {start_hint(settings)}"
    ) from refused


def protocol_mismatch(settings: Settings, host: str, port: int) -> ClusterRefused | None:
    """The error for a listener whose protocol is not that of the settings; None if they agree, or it does not answer.

    Takes up to 2 s where nothing answers.
    """
    found = detect_protocol(settings, host, port)
    if found is None or found.protocol == settings.security_protocol:
        return None
    if found.certificate:
        if settings.security_protocol.endswith("SSL"):
            return None  # the client's own error describes it better
        return ClusterRefused(
            f"The Kafka cluster at {settings.bootstrap_servers} speaks TLS and requires a client certificate, and "
            f"SEDI_SECURITY_PROTOCOL is {settings.security_protocol}. Set SEDI_SECURITY_PROTOCOL to SSL (SASL_SSL if "
            "it requires a login too), and SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to a certificate that it accepts."
        )
    further = ""
    if found.mechanisms:
        accepted = ", ".join(found.mechanisms)
        further = f", SEDI_SASL_MECHANISM (it takes {accepted}), SEDI_SASL_USERNAME and SEDI_SASL_PASSWORD"
    if found.tls:
        further += ", and SEDI_TLS_CA_FILE unless this system trusts its certificate"
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} speaks {found.protocol}, and SEDI_SECURITY_PROTOCOL is "
        f"{settings.security_protocol}. Set SEDI_SECURITY_PROTOCOL={found.protocol}{further}."
    )


def detect_protocol(
    settings: Settings, host: str, port: int, timeout_s: float = _RESPONSE_S
) -> ListenerProtocol | None:
    """The listener's protocol, found by trying; None when nothing answers as Kafka. `timeout_s` bounds each try."""
    for tls in (False, True):
        try:
            with (
                socket.create_connection((host, port), timeout_s) as connection,
                _unverified(settings).wrap_socket(connection) if tls else nullcontext(connection) as stream,
            ):
                stream.sendall(_request("PLAIN"))
                return ListenerProtocol(tls, _mechanisms(_response(stream)))
        except (OSError, ValueError, struct.error) as error:  # not this protocol
            if tls and requires_certificate(error):
                return ListenerProtocol(tls, (), certificate=True)
    return None


def _unverified(settings: Settings) -> ssl.SSLContext:
    """A TLS context that verifies nothing: only to detect TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.security_protocol.endswith("SSL"):
        load_client_certificate(context, settings)
    return context


def _request(mechanism: str) -> bytes:
    body = struct.pack(">hhi", _SASL_HANDSHAKE, _VERSION, _NUMBER) + _string("sedi") + _string(mechanism)
    return struct.pack(">i", len(body)) + body


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _response(stream: socket.socket) -> bytes:
    """The body of a response. Raises ValueError when it is not one."""
    (length,) = struct.unpack(">i", _exactly(stream, 4))
    if not 0 < length <= _MAX_BYTES:
        raise ValueError(f"a response of {length} bytes")
    return _exactly(stream, length)


def _exactly(stream: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        part = stream.recv(count - len(read))
        if not part:
            raise ValueError("the connection was closed")
        read += part
    return read


def _mechanisms(body: bytes) -> tuple[str, ...]:
    number, _, count = struct.unpack_from(">ihi", body)
    if number != _NUMBER or not 0 <= count < len(body):
        raise ValueError("no response to a SaslHandshake")
    found, at = [], 10
    for _ in range(count):
        (length,) = struct.unpack_from(">h", body, at)
        found.append(body[at + 2 : at + 2 + length].decode("ascii"))
        at += 2 + length
    return tuple(found)
