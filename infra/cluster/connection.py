"""The connection part of each Kafka client's configuration: bootstrap servers, TLS, SASL."""

import ssl
from pathlib import Path
from typing import Any

from infra.settings import Settings
from schemas.errors import ConfigurationError

_ASYNC = (
    "bootstrap_servers",
    "client_id",
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
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
    """The same for aiokafka clients, which have fewer options."""
    return {name: value for name, value in connection(settings, client_id).items() if name in _ASYNC}


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context of the settings; None without TLS. Raises ConfigurationError for unusable files."""
    if settings.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=_path(settings.tls_ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"SEDI_TLS_CA_FILE ({settings.tls_ca_file}) cannot be used: {_reason(error)}. Name a file with the "
            "certificate (PEM) of the authority that signed the cluster's."
        ) from error
    load_client_certificate(context, settings)
    return context


def load_client_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    """Load the client certificate of the settings, if any, into a context. Raises ConfigurationError."""
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None:
        if key is not None:
            raise ConfigurationError(
                "SEDI_TLS_KEY_FILE is set and SEDI_TLS_CERT_FILE is not. Set both, or neither if the cluster requires "
                "no client certificate."
            )
        return
    for name, file in (("SEDI_TLS_CERT_FILE", certificate), ("SEDI_TLS_KEY_FILE", key)):
        try:
            if file is not None:
                file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{name} ({file}) cannot be read: {_reason(error)}. Name a PEM file.") from error
    # Without a password OpenSSL would prompt on the terminal; a callback shows whether it needs one.
    secret = settings.tls_key_password.get_secret_value() if settings.tls_key_password else ""
    requests: list[bool] = []

    def password() -> str:
        requests.append(True)
        return secret

    try:
        context.load_cert_chain(certificate, _path(key), password)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_unusable(settings, error, encrypted=bool(requests))) from error


def _unusable(settings: Settings, error: Exception, *, encrypted: bool) -> str:
    """Why a readable client certificate and key cannot be loaded."""
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    where = f"SEDI_TLS_KEY_FILE ({key})" if key else f"SEDI_TLS_CERT_FILE ({certificate})"
    if encrypted and not settings.tls_key_password:
        return f"The key in {where} is encrypted. Set SEDI_TLS_KEY_PASSWORD to its password."
    if encrypted:
        return f"SEDI_TLS_KEY_PASSWORD is not the password of the key in {where}. Set the right one."
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"The key in {where} does not match the certificate {certificate}. Name a matching pair."
    if not key:
        return f"{where} does not hold a certificate with its key (PEM): {_reason(error)}. Set SEDI_TLS_KEY_FILE too."
    return (
        f"SEDI_TLS_CERT_FILE ({certificate}) and SEDI_TLS_KEY_FILE ({key}) are not a certificate and its key, both "
        f"PEM: {_reason(error)}. Name PEM files."
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
