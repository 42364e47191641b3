"""A real broker with additional secured listeners: TLS, SCRAM-SHA-512 or client certificates, and ACLs.

The plain listener is for the administrator (its anonymous user may do everything); the secured ones are for the tests'
users, with the rights granted by `allow`. Certificates are created by openssl; a user's has the user's name.
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

from infra.cluster.admin import administrator
from infra.local_broker.temporary_broker import TemporaryBroker, free_port, temporary_broker
from infra.settings import Settings

SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
PASSWORD = "a-password-for-tests"


@dataclass(frozen=True)
class SecuredBroker:
    """`ca` signed its certificate and those of its clients; `stranger` is another authority; each key is beside it.
    `ipv6` is its IPv6 address, or `address` on a machine without; `certified` the address for client certificates."""

    plain: TemporaryBroker
    address: str
    ipv6: str
    certified: str
    ca: Path
    stranger: Path

    def settings(self, user: str, **changes: object) -> Settings:
        """The correct settings of a user."""
        return self.plain.settings.model_copy(
            update={
                "bootstrap_servers": self.address,
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": user,
                "sasl_password": SecretStr(PASSWORD),
                "tls_ca_file": self.ca,
                **changes,
            }
        )

    def certified_settings(self, user: str, **changes: object) -> Settings:
        """The correct settings of a user with a certificate, whose key has the password."""
        certificate = self.ca.with_name(f"{user}.crt")
        if not certificate.exists():
            _signed(certificate, user, self.ca)
        return self.plain.settings.model_copy(
            update={
                "bootstrap_servers": self.certified,
                "security_protocol": "SSL",
                "tls_ca_file": self.ca,
                "tls_cert_file": certificate,
                "tls_key_file": certificate.with_suffix(".key"),
                "tls_key_password": SecretStr(PASSWORD),
                **changes,
            }
        )

    def add_users(self, *users: str) -> None:
        with administrator(self.plain.settings) as admin:
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(user, "SCRAM-SHA-512", PASSWORD) for user in users]
            )

    def allow(self, user: str, *operations: str, topics: str = "", groups: str = "") -> None:
        """Grant operations on all topics, or groups, with a prefix."""
        pairs = [(ResourceType.TOPIC, topics), (ResourceType.GROUP, groups)]
        acls = [
            ACL(
                f"User:{user}",
                "*",
                ACLOperation[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(kind, prefix, ACLResourcePatternType.PREFIXED),
            )
            for kind, prefix in pairs
            if prefix
            for operation in operations
        ]
        with administrator(self.plain.settings) as admin:
            assert not admin.create_acls(acls)["failed"]


@contextmanager
def secured_broker(settings: Settings, folder: Path) -> Iterator[SecuredBroker]:
    """Run one until the context ends. Skips the test without openssl."""
    ca, keystore = _certificate(folder, "ours")
    stranger, _ = _certificate(folder, "another")
    port = free_port()
    hosts = {"SECURED": f"127.0.0.1:{port}", **({"SECURED6": f"[::1]:{port + 1}"} if _has_ipv6() else {})}
    certified = f"127.0.0.1:{free_port()}"
    with temporary_broker(settings, further=_properties(hosts, certified, keystore, ca)) as plain:
        yield SecuredBroker(plain, hosts["SECURED"], hosts.get("SECURED6", hosts["SECURED"]), certified, ca, stranger)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate of the loopback addresses; and a file of it with its key, for Kafka."""
    certificate, key, both = (folder / f"{name}.{suffix}" for suffix in ("crt", "key", "pem"))
    _request(certificate, name, "-nodes", "-addext", "subjectAltName=IP:127.0.0.1,IP:::1")
    both.write_text(key.read_text() + certificate.read_text())
    return certificate, both


def _signed(certificate: Path, user: str, ca: Path) -> None:
    """Create a user's certificate, signed by an authority, and its key, encrypted with the password."""
    _request(certificate, user, "-passout", f"pass:{PASSWORD}", "-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")))


def _request(certificate: Path, name: str, *options: str) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificates, is not on this machine")
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-keyout",
            certificate.with_suffix(".key"),
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            *options,
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )


def _properties(hosts: dict[str, str], certified: str, keystore: Path, ca: Path) -> dict[str, str]:
    plain = "PLAINTEXT://127.0.0.1:${port}"
    secured = [*(f"{name}://{host}" for name, host in hosts.items()), f"CERTIFIED://{certified}"]
    protocols = [
        "PLAINTEXT:PLAINTEXT",
        "CONTROLLER:PLAINTEXT",
        *(f"{name}:SASL_SSL" for name in hosts),
        "CERTIFIED:SSL",
    ]
    return {
        "listeners": ",".join([plain, "CONTROLLER://127.0.0.1:${controller_port}", *secured]),
        "advertised.listeners": ",".join([plain, *secured]),
        "listener.security.protocol.map": ",".join(protocols),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        **{
            f"listener.name.{name.lower()}.scram-sha-512.sasl.jaas.config": f"{SCRAM_LOGIN} required;" for name in hosts
        },
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "listener.name.certified.ssl.client.auth": "required",
        "listener.name.certified.ssl.truststore.type": "PEM",
        "listener.name.certified.ssl.truststore.location": str(ca),
        "listener.name.certified.ssl.principal.mapping.rules": "RULE:^CN=(.*)$$/$$1/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "connection.failed.authentication.delay.ms": "0",
    }
