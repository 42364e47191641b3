"""Error messages for a cluster that refuses or fails, derived from what its clients raise. Pure: no I/O.

    refusal(settings, error, right)    it rejects the login or the certificate, or the user lacks a right; else None
    unreachable(settings, reason)      it does not answer
    error_response(settings, reason)   it answers with an error
    status_hint(settings)              where to look when a response is missing

kafka-python, aiokafka and Faust raise different errors with the same class names for one refusal, and chain them. So an
error is recognised by class name, anywhere along its causes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.settings import Settings
from infra.visible import visible
from schemas.errors import BrokerError, ClusterRefused

_LOGIN = {"SaslAuthenticationFailedError", "AuthenticationFailedError"}
_MECHANISM = {"UnsupportedSaslMechanismError", "AuthenticationMethodNotSupported"}
_RIGHTS = {
    "TopicAuthorizationFailedError": "topic",
    "GroupAuthorizationFailedError": "group",
    "ClusterAuthorizationFailedError": "cluster",
    "TransactionalIdAuthorizationFailedError": "cluster",
}
_UNTRUSTED = re.compile(r"certificate verify failed: (.*?)\.? \(_ssl", re.IGNORECASE)
_CLIENT_CERTIFICATE = re.compile(
    r"alert[ _](?:unknown[ _]ca|(?:bad|unsupported)[ _]certificate"
    r"|certificate[ _](?:required|unknown|expired|revoked))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Right:
    """An ACL operation (Read, Write, Describe, ...) on a resource of a `kind` (topic, group, cluster)."""

    operation: str
    kind: str = "topic"
    name: str = ""

    def __str__(self) -> str:
        return f"{self.operation} on {f'{self.kind} {self.name}' if self.name else f'the {self.kind}'}"


def refusal(settings: Settings, error: BaseException, right: Right | None = None) -> ClusterRefused | None:
    """ClusterRefused with its sentence, if the cluster refuses. `right` is what the failed operation needed."""
    found = (_refusal(settings, cause, right) for cause in causes(error))
    return next((each for each in found if each is not None), None)


def missing_rights(settings: Settings, *rights: Right, further: str = "") -> ClusterRefused:
    """The user lacks these rights; the message names the first three."""
    shown = ", ".join(map(str, rights[:3])) + (f" and {len(rights) - 3} more" if len(rights) > 3 else "")
    return ClusterRefused(
        f"{principal(settings)} has no right to {shown} at {settings.bootstrap_servers}. {further}"
        "Have it granted (kafka-acls, or your cluster's tools), or log in as another user."
    )


def hidden_topic(settings: Settings, run: str, topic: str) -> ClusterRefused:
    """The user may not describe a topic, so the cluster does not say whether it exists."""
    return ClusterRefused(
        f"Run {run!r} cannot be seen at {settings.bootstrap_servers}: {principal(settings)} has no right to Describe "
        f"on topic {topic}, so the cluster hides whether it exists. If it does, have the right granted (Read and Write "
        f"include it); if not, make the run with `sedi configure --run {run}`, as a user with the right to."
    )


def unreachable(settings: Settings, reason: object) -> BrokerError:
    """The cluster does not answer; a retry may succeed."""
    return BrokerError(
        f"The Kafka cluster at {settings.bootstrap_servers} does not answer ({reason}). {start_hint(settings)}"
    )


def error_response(settings: Settings, reason: object) -> BrokerError:
    """The cluster answers with an error about the request or about itself."""
    return BrokerError(
        f"The Kafka cluster at {settings.bootstrap_servers} answers with an error ({reason}). {status_hint(settings)}"
    )


def start_hint(settings: Settings) -> str:
    """A sentence: what to do about a cluster that cannot be reached."""
    if settings.is_local:
        return "Start the local broker with `sedi broker start`, or set SEDI_BOOTSTRAP_SERVERS."
    return (
        "Check that its brokers run and that this machine reaches them (name, port, firewall), or set "
        "SEDI_BOOTSTRAP_SERVERS."
    )


def status_hint(settings: Settings) -> str:
    """A sentence: where to look when a cluster stops answering."""
    return "See `sedi broker status`." if settings.is_local else "See `sedi doctor`, and the cluster's own state."


def principal(settings: Settings) -> str:
    """The user as the cluster sees it."""
    if settings.security_protocol.startswith("SASL"):
        return f"User {settings.sasl_username!r}"
    if settings.security_protocol == "SSL" and settings.tls_cert_file is not None:
        return f"The owner of the certificate {settings.tls_cert_file}"
    return "An anonymous user"


def requires_certificate(error: BaseException) -> bool:
    """Whether a TLS error means that the peer requires a client certificate, or rejected the one presented."""
    return _CLIENT_CERTIFICATE.search(str(error)) is not None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, outermost first."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _refusal(settings: Settings, error: BaseException, right: Right | None) -> ClusterRefused | None:
    """`refusal` for one error, without its causes."""
    # Some errors appear only in the text of another.
    names = {kind.__name__ for kind in type(error).__mro__} | set(re.findall(r"\b[A-Z]\w+Error\b", str(error)))
    found: ClusterRefused | None = None
    if isinstance(error, ClusterRefused):
        found = error
    elif names & _LOGIN:
        found = _login(settings)
    elif names & _MECHANISM:
        found = _mechanism(settings)
    elif untrusted := _UNTRUSTED.search(str(error)):
        found = _certificate(settings, untrusted[1])
    elif requires_certificate(error):
        found = _client_certificate(settings)
    elif unauthorized := names & _RIGHTS.keys():
        found = missing_rights(settings, _needed_right(_RIGHTS[min(unauthorized)], error, right))
    return found


def _login(settings: Settings) -> ClusterRefused:
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} refuses the login of user {settings.sasl_username!r} "
        f"({settings.sasl_mechanism}): user or password is wrong, or the user has no password for this mechanism. "
        "Check SEDI_SASL_USERNAME, SEDI_SASL_PASSWORD and SEDI_SASL_MECHANISM."
    )


def _mechanism(settings: Settings) -> ClusterRefused:
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} does not accept the SASL mechanism "
        f"{settings.sasl_mechanism}. Set SEDI_SASL_MECHANISM to one that it accepts."
    )


def _certificate(settings: Settings, reason: str) -> ClusterRefused:
    """`reason` is OpenSSL's, without a full stop."""
    if "mismatch" in reason.lower():
        what = "is of another name"
        remedy = "Name the servers in SEDI_BOOTSTRAP_SERVERS, and the cluster its own, as their certificates do."
    elif "expired" in reason or "not yet valid" in reason:
        what = "is not valid now"
        remedy = "Have it renewed, if this machine's clock is right."
    elif settings.tls_ca_file is None:
        what = "is not trusted"
        remedy = "Set SEDI_TLS_CA_FILE to the certificate (PEM) of the authority that signed it."
    else:
        what = f"is not trusted by SEDI_TLS_CA_FILE ({settings.tls_ca_file})"
        remedy = "Set that to the certificate (PEM) of the authority that signed it."
    return ClusterRefused(
        f"The certificate of the Kafka cluster at {settings.bootstrap_servers} {what}: {visible(reason)}. {remedy}"
    )


def _client_certificate(settings: Settings) -> ClusterRefused:
    if settings.tls_cert_file is None:
        return ClusterRefused(
            f"The Kafka cluster at {settings.bootstrap_servers} requires a client certificate. Set "
            "SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to one that its authority has signed, and its key."
        )
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} rejects the certificate {settings.tls_cert_file}. "
        "Set SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to one that its authority has signed and that is valid now, and "
        "its key."
    )


def _needed_right(kind: str, error: BaseException, right: Right | None) -> Right:
    """The right that an authorization error is about: the needed one, if it is of that kind."""
    named = _name_in(error)
    if right is not None and kind in (right.kind, "cluster"):
        return Right(right.operation, right.kind, right.name or named)
    return Right({"topic": "Describe", "group": "Read", "cluster": "IdempotentWrite"}[kind], kind, named)


def _name_in(error: BaseException) -> str:
    """The topic or group that an authorization error names, alone or in a set; empty when it names none."""
    for argument in error.args:
        names = sorted(argument) if isinstance(argument, set | frozenset) else [argument]
        if names and isinstance(names[0], str) and re.fullmatch(r"[\w.\-]+", names[0]):
            return names[0]
    return ""
