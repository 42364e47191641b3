"""How our clients reach the cluster: the connection part of every kafka-python and Faust client's configuration."""

import ssl
from pathlib import Path
from typing import Any

from infra.settings import Settings
from schemas.errors import ConfigurationError

_ASYNC = (
    "bootstrap_servers", "client_id", "security_protocol", "ssl_context",
    "sasl_mechanism", "sasl_plain_username", "sasl_plain_password",
)  # fmt: skip
MAX_RECORD_BYTES = 8 * 1024 * 1024


def connection(settings: Settings, client_id: str) -> dict[str, Any]:
    """Keyword arguments for KafkaProducer, KafkaConsumer and KafkaAdminClient."""
    config: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "client_id": client_id,
        "security_protocol": settings.security_protocol,
        "bootstrap_timeout_ms": 15_000,
        "metrics_enabled": False,
        "reconnect_backoff_max_ms": 1_000,
    }
    context = ssl_context(settings)
    if context is not None:
        config["ssl_context"] = context
    if settings.security_protocol.startswith("SASL"):
        if not (settings.sasl_mechanism and settings.sasl_username and settings.sasl_password):
            raise ConfigurationError(
                f"security_protocol is {settings.security_protocol}, which needs sasl_mechanism, sasl_username and "
                "sasl_password. Set SEDI_SASL_MECHANISM, SEDI_SASL_USERNAME and SEDI_SASL_PASSWORD."
            )
        config["sasl_mechanism"] = settings.sasl_mechanism
        config["sasl_plain_username"] = settings.sasl_username
        config["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return config


def async_connection(settings: Settings, client_id: str) -> dict[str, Any]:
    """The same for aiokafka's clients, which have fewer options."""
    return {name: value for name, value in connection(settings, client_id).items() if name in _ASYNC}


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context of the settings; None without TLS. Raises ConfigurationError for files that cannot be used."""
    if settings.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=_path(settings.tls_ca_file))
        if settings.tls_cert_file is not None:
            # Without a password OpenSSL would ask the terminal for one.
            password = settings.tls_key_password.get_secret_value() if settings.tls_key_password else ""
            context.load_cert_chain(settings.tls_cert_file, _path(settings.tls_key_file), password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The TLS files cannot be used: {error}. Check SEDI_TLS_CA_FILE and the others."
        ) from error
    return context


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
