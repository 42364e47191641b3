"""The one tree of errors.

    SediError
    ├── ConfigurationError      a setting, a policy or a file given by the user is wrong
    ├── SchemaError             a record cannot be read as what it says it is
    │   ├── UnknownEvent        no such type, or a version newer than this program
    │   └── MalformedEvent      the bytes or headers do not fit the type
    ├── BrokerError             the cluster cannot be started, reached or written to
    │   ├── ClusterRefused      it answers, and refuses us: login, certificate, protocol, rights
    │   └── TopicMismatch       a topic on the cluster is not as declared
    ├── RunError                the run's log does not hold what the caller needs
    ├── TooManyDeadLetters      the limit of dead letters is exceeded: the fault is not in single records
    ├── BackendError            an LLM endpoint failed
    └── TrainerError            the model, its data or its checkpoint cannot be used
        ├── UntrustedCheckpoint not sealed by this installation; loading it would run code in it
        └── RankRefused         a rank failed permanently

Every message says what was wrong, with which value, and what to do about it.
"""


class SediError(Exception):
    """Base of all errors that the command line prints as one sentence instead of a traceback.

    permanent   the same command would fail in the same way again, until something is changed
    """

    permanent = False


class ConfigurationError(SediError):
    """A setting, a policy or an input file is wrong."""

    permanent = True


class SchemaError(SediError):
    """A record cannot be read; readers put it on the topic's dead-letter topic."""


class UnknownEvent(SchemaError):
    """The event's type, or its version, is not known to this program."""


class MalformedEvent(SchemaError):
    """The record's bytes or headers do not fit the type they claim."""


class BrokerError(SediError):
    """The Kafka cluster cannot be started, reached or written to."""


class ClusterRefused(BrokerError):
    """The cluster refuses access: user or password, certificate, protocol, or a missing right."""

    permanent = True


class TopicMismatch(BrokerError):
    """A topic exists with settings other than those declared for the run."""


class RunError(SediError):
    """The run's log does not hold what the caller needs."""


class TooManyDeadLetters(SediError):
    """A topic's dead letters exceed their limit, so the fault is in a program and not in single records."""

    permanent = True


class BackendError(SediError):
    """An LLM endpoint failed for good, or gave an unusable answer."""


class TrainerError(SediError):
    """The model, its data or its checkpoint cannot be used."""


class UntrustedCheckpoint(TrainerError):
    """A checkpoint was not sealed by this installation. Loading it would run any code in it."""

    permanent = True


class RankRefused(TrainerError):
    """A rank of a training failed permanently: a restart would fail in the same way."""

    permanent = True
