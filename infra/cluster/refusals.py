"""What is said of a cluster that does not do what we ask, told from what its clients raise. Pure: asks nobody.

    refusal(settings, error, right)   it answers and refuses us: user and password, certificate, a right; else None
    away(settings, reason)            it does not answer
    failed(settings, reason)          it answers with an error
    look(settings)                    where to look when an answer fails to come

kafka-python, aiokafka and Faust raise errors of their own for the same refusal, with the same names, and hide the cause
in one another; so an error is known by the names of its kinds, anywhere along its causes.
Only of the local broker is it said that `sedi broker start` starts it.
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
    """A right as Kafka names it: an operation (Read, Write, Describe, ...) on a `kind` (topic, group, cluster)."""

    operation: str
    kind: str = "topic"
    name: str = ""

    def __str__(self) -> str:
        return f"{self.operation} on {f'{self.kind} {self.name}' if self.name else f'the {self.kind}'}"


def refusal(settings: Settings, error: BaseException, right: Right | None = None) -> ClusterRefused | None:
    """The error with its sentence, if the cluster refuses us. `right` is what was needed for what failed."""
    found = (_refusal(settings, cause, right) for cause in causes(error))
    return next((each for each in found if each is not None), None)


def lacks(settings: Settings, *rights: Right, further: str = "") -> ClusterRefused:
    """The user has not these rights, of which the first are named."""
    shown = ", ".join(map(str, rights[:3])) + (f" and {len(rights) - 3} more" if len(rights) > 3 else "")
    return ClusterRefused(
        f"{who(settings)} has no right to {shown} at {settings.bootstrap_servers}. {further}"
        "Have it granted (kafka-acls, or your cluster's tools), or log in as another user."
    )


def hidden(settings: Settings, run: str, topic: str) -> ClusterRefused:
    """The cluster does not show a topic, and does not say whether it is there."""
    return ClusterRefused(
        f"Run {run!r} cannot be seen at {settings.bootstrap_servers}: {who(settings)} has no right to Describe on "
        f"topic {topic}, and from such a user the cluster hides whether it is there. If it is, have the right granted "
        f"(Read and Write include it); if not, make the run with `sedi configure --run {run}`, as a user who may."
    )


def away(settings: Settings, reason: object) -> BrokerError:
    """The cluster does not answer, for a reason that may pass."""
    return BrokerError(
        f"The Kafka cluster at {settings.bootstrap_servers} does not answer ({reason}). {start(settings)}"
    )


def failed(settings: Settings, reason: object) -> BrokerError:
    """The cluster answers, with an error that is about what was asked or about itself."""
    return BrokerError(
        f"The Kafka cluster at {settings.bootstrap_servers} answers with an error ({reason}). {look(settings)}"
    )


def start(settings: Settings) -> str:
    """What to do about a cluster that is not there, as a sentence."""
    if settings.is_local:
        return "Start the local broker with `sedi broker start`, or set SEDI_BOOTSTRAP_SERVERS."
    return (
        "Check that its brokers run and that this machine reaches them (name, port, firewall), or set "
        "SEDI_BOOTSTRAP_SERVERS."
    )


def look(settings: Settings) -> str:
    """Where to look when a cluster that was there does not answer any more, as a sentence."""
    return "See `sedi broker status`." if settings.is_local else "See `sedi doctor`, and how the cluster does."


def who(settings: Settings) -> str:
    """Whom the cluster takes us for."""
    if settings.security_protocol.startswith("SASL"):
        return f"User {settings.sasl_username!r}"
    if settings.security_protocol == "SSL" and settings.tls_cert_file is not None:
        return f"The owner of the certificate {settings.tls_cert_file}"
    return "An anonymous user"


def wants_certificate(error: BaseException) -> bool:
    """Whether an error of TLS is that the other end wants a certificate of us, or another one than it was shown."""
    return _CLIENT_CERTIFICATE.search(str(error)) is not None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, outermost first."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _refusal(settings: Settings, error: BaseException, right: Right | None) -> ClusterRefused | None:
    """The same of one error alone."""
    # Some are told of in the text of another only.
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
    elif wants_certificate(error):
        found = _own_certificate(settings)
    elif unauthorized := names & _RIGHTS.keys():
        found = lacks(settings, _lacking(_RIGHTS[min(unauthorized)], error, right))
    return found


def _login(settings: Settings) -> ClusterRefused:
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} refuses the login of user {settings.sasl_username!r} "
        f"({settings.sasl_mechanism}): user or password is wrong, or the user has no password for this mechanism. "
        "Check SEDI_SASL_USERNAME, SEDI_SASL_PASSWORD and SEDI_SASL_MECHANISM."
    )


def _mechanism(settings: Settings) -> ClusterRefused:
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} does not take the login mechanism "
        f"{settings.sasl_mechanism}. Set SEDI_SASL_MECHANISM to one that it takes."
    )


def _certificate(settings: Settings, said: str) -> ClusterRefused:
    """`said` is OpenSSL's reason, without a full stop."""
    if "mismatch" in said.lower():
        what = "is of another name"
        remedy = "Name the servers in SEDI_BOOTSTRAP_SERVERS, and the cluster its own, as their certificates do."
    elif "expired" in said or "not yet valid" in said:
        what = "is not valid now"
        remedy = "Have it renewed, if this machine's clock is right."
    elif settings.tls_ca_file is None:
        what = "is not trusted"
        remedy = "Set SEDI_TLS_CA_FILE to the certificate (PEM) of the authority that signed it."
    else:
        what = f"is not trusted by SEDI_TLS_CA_FILE ({settings.tls_ca_file})"
        remedy = "Set that to the certificate (PEM) of the authority that signed it."
    return ClusterRefused(
        f"The certificate of the Kafka cluster at {settings.bootstrap_servers} {what}: {visible(said)}. {remedy}"
    )


def _own_certificate(settings: Settings) -> ClusterRefused:
    if settings.tls_cert_file is None:
        return ClusterRefused(
            f"The Kafka cluster at {settings.bootstrap_servers} wants a certificate of its clients. Set "
            "SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to one that its authority has signed, and its key."
        )
    return ClusterRefused(
        f"The Kafka cluster at {settings.bootstrap_servers} does not take the certificate {settings.tls_cert_file}. "
        "Set SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to one that its authority has signed and that is valid now, and "
        "its key."
    )


def _lacking(kind: str, error: BaseException, right: Right | None) -> Right:
    """The right that an authorization error is about: what was needed, if it is of that kind."""
    named = _name_in(error)
    if right is not None and kind in (right.kind, "cluster"):
        return Right(right.operation, right.kind, right.name or named)
    return Right({"topic": "Describe", "group": "Read", "cluster": "IdempotentWrite"}[kind], kind, named)


def _name_in(error: BaseException) -> str:
    """The topic or group that an authorization error names, alone or in a set; empty when it names none."""
    for said in error.args:
        names = sorted(said) if isinstance(said, set | frozenset) else [said]
        if names and isinstance(names[0], str) and re.fullmatch(r"[\w.\-]+", names[0]):
            return names[0]
    return ""
