"""A real broker with a secured listener beside its own: TLS, SCRAM-SHA-512 and ACLs.

The plain listener is the administrator's (an anonymous user may do all there); the secured one is for the tests'
users, who may do what `allow` has granted. Certificates are made anew, by openssl.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from infra.admin import administrator
from infra.settings import Settings
from infra.temporary_broker import TemporaryBroker, free_port, temporary_broker

PASSWORD = "a-password-for-tests"


@dataclass(frozen=True)
class SecuredBroker:
    """`ca` is the authority of its certificate, `stranger` that of another; `ipv6` is its other address, or `address`
    where this machine has no IPv6."""

    plain: TemporaryBroker
    address: str
    ipv6: str
    ca: Path
    stranger: Path

    def settings(self, user: str, **changes: object) -> Settings:
        """The settings of a user, as they are right."""
        return self.plain.settings.model_copy(
            update={
                "bootstrap_servers": self.address, "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": user, "sasl_password": SecretStr(PASSWORD), "tls_ca_file": self.ca, **changes,
            }
        )  # fmt: skip

    def add_users(self, *users: str) -> None:
        with administrator(self.plain.settings) as admin:
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(user, "SCRAM-SHA-512", PASSWORD) for user in users]
            )

    def allow(self, user: str, *operations: str, topics: str = "", groups: str = "") -> None:
        """Grant operations on all topics, or groups, that begin so."""
        pairs = [(ResourceType.TOPIC, topics), (ResourceType.GROUP, groups)]
        acls = [
            ACL(
                f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW,
                ResourcePattern(kind, prefix, ACLResourcePatternType.PREFIXED),
            )
            for kind, prefix in pairs
            if prefix
            for operation in operations
        ]  # fmt: skip
        with administrator(self.plain.settings) as admin:
            assert not admin.create_acls(acls)["failed"]


@contextmanager
def secured_broker(settings: Settings, folder: Path) -> Iterator[SecuredBroker]:
    """One, until the context ends. Skips the test where there is no openssl."""
    ca, keystore = _certificate(folder, "ours")
    stranger, _ = _certificate(folder, "another")
    port = free_port()
    hosts = {"SECURED": f"127.0.0.1:{port}", **({"SECURED6": f"[::1]:{port + 1}"} if _has_ipv6() else {})}
    with temporary_broker(settings, further=_properties(hosts, keystore)) as plain:
        yield SecuredBroker(plain, hosts["SECURED"], hosts.get("SECURED6", hosts["SECURED"]), ca, stranger)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of the loopback addresses that is its own authority; and with its key, as Kafka reads it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificates, is not on this machine")
    certificate, key, both = (folder / f"{name}.{suffix}" for suffix in ("crt", "key", "pem"))
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,IP:::1"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, both


def _properties(hosts: dict[str, str], keystore: Path) -> dict[str, str]:
    plain, secured = "PLAINTEXT://127.0.0.1:${port}", [f"{name}://{host}" for name, host in hosts.items()]
    protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{name}:SASL_SSL" for name in hosts)]
    return {
        "listeners": ",".join([plain, "CONTROLLER://127.0.0.1:${controller_port}", *secured]),
        "advertised.listeners": ",".join([plain, *secured]),
        "listener.security.protocol.map": ",".join(protocols),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        **{
            f"listener.name.{name.lower()}.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            for name in hosts
        },
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "connection.failed.authentication.delay.ms": "0",
    }  # fmt: skip
