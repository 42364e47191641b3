"""What listens at a bootstrap server, asked without a Kafka client: whether anything does, and what protocol it speaks.

A client that speaks plain text where TLS is spoken, or sends requests where a login is wanted, only sees its connection
closed, as by a broker that restarts. So a cluster that closes connections is asked once more: a SaslHandshake is
answered by every listener of a Kafka broker, in its own protocol, with the login mechanisms that it takes (none: it
wants no login). Nothing secret is sent; our certificate, if the settings name one, is shown as to the cluster itself.
"""

import socket
import ssl
import struct
from contextlib import nullcontext
from dataclasses import dataclass

from infra.cluster.connection import show_certificate
from infra.cluster.refusals import start, wants_certificate
from infra.settings import Settings
from schemas.errors import BrokerError, ClusterRefused

_ANSWER_S = 1.0
_MOST_BYTES = 64 * 1024
_SASL_HANDSHAKE, _VERSION, _NUMBER = 17, 1, 1


@dataclass(frozen=True)
class Spoken:
    """How a listener wants to be spoken to. `mechanisms` are those of its login, none where it wants no login.

    `certificate`: it wants to see a client's certificate first, and shows nothing more to who has none.
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

    Asked before a client is made: a client would try again and again, say only that time is up, and leak a socket for
    each refusal.
    """
    servers = settings.bootstrap_servers.split(",")
    for server in servers:
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout_s / len(servers)).close()
            return
        except (OSError, ValueError) as error:
            refused = error
    raise BrokerError(f"Nothing listens at {settings.bootstrap_servers} ({refused}). {start(settings)}") from refused


def mismatch(settings: Settings, host: str, port: int) -> ClusterRefused | None:
    """The error for a listener that speaks another protocol than the settings say; None when it does not, or is silent.

    Takes up to 2 s where nothing answers.
    """
    found = spoken(settings, host, port)
    if found is None or found.protocol == settings.security_protocol:
        return None
    if found.certificate:
        if settings.security_protocol.endswith("SSL"):
            return None  # that its own connection was refused says so better
        return ClusterRefused(
            f"The Kafka cluster at {settings.bootstrap_servers} speaks TLS and wants a certificate of its clients, and "
            f"SEDI_SECURITY_PROTOCOL is {settings.security_protocol}. Set SEDI_SECURITY_PROTOCOL to SSL (SASL_SSL if "
            "it wants a login too), and SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to a certificate that it takes."
        )
    further = ""
    if found.mechanisms:
        taken = ", ".join(found.mechanisms)
        further = f", SEDI_SASL_MECHANISM (it takes {taken}), SEDI_SASL_USERNAME and SEDI_SASL_PASSWORD"
    if found.tls:
        further += ", and SEDI_TLS_CA_FILE unless this system trusts its certificate"
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} speaks {found.protocol}, and SEDI_SECURITY_PROTOCOL is "
        f"{settings.security_protocol}. Set SEDI_SECURITY_PROTOCOL={found.protocol}{further}."
    )


def spoken(settings: Settings, host: str, port: int, timeout_s: float = _ANSWER_S) -> Spoken | None:
    """What is spoken there, by trying; None when nothing answers as Kafka does. `timeout_s` is of each try."""
    for tls in (False, True):
        try:
            with (
                socket.create_connection((host, port), timeout_s) as connection,
                _unverified(settings).wrap_socket(connection) if tls else nullcontext(connection) as talk,
            ):
                talk.sendall(_request("PLAIN"))
                return Spoken(tls, _mechanisms(_answer(talk)))
        except (OSError, ValueError, struct.error) as error:  # it does not speak this
            if tls and wants_certificate(error):
                return Spoken(tls, (), certificate=True)
    return None


def _unverified(settings: Settings) -> ssl.SSLContext:
    """To find out whether TLS is spoken at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.security_protocol.endswith("SSL"):
        show_certificate(context, settings)
    return context


def _request(mechanism: str) -> bytes:
    body = struct.pack(">hhi", _SASL_HANDSHAKE, _VERSION, _NUMBER) + _string("sedi") + _string(mechanism)
    return struct.pack(">i", len(body)) + body


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _answer(talk: socket.socket) -> bytes:
    """The body of a response. Raises ValueError when it is none."""
    (length,) = struct.unpack(">i", _exactly(talk, 4))
    if not 0 < length <= _MOST_BYTES:
        raise ValueError(f"a response of {length} bytes")
    return _exactly(talk, length)


def _exactly(talk: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        part = talk.recv(count - len(read))
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
