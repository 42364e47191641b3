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
    ├── TooManyDeadLetters      so many records cannot be evaluated that the fault is not in single ones
    ├── BackendError            an LLM endpoint failed
    └── TrainerError            the model, its data or its checkpoint cannot be used
        ├── UntrustedCheckpoint not sealed by this installation, and loading one runs code that it holds
        └── RankRefused         a rank ended for what lasts

Every message says what was wrong, with which value, and what to do about it.
"""


class SediError(Exception):
    """Base of all errors that the front door prints as one sentence instead of a traceback.

    permanent   the same command would end in the same way again: somebody has to change something first
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
    """The cluster answers and does not let us in: user or password, certificate, protocol, or a missing right."""

    permanent = True


class TopicMismatch(BrokerError):
    """A topic exists with other settings than were declared for the run."""


class RunError(SediError):
    """The run's log does not hold what is asked for."""


class TooManyDeadLetters(SediError):
    """So many records of a topic cannot be evaluated that the fault is in a program, and not in single records."""

    permanent = True


class BackendError(SediError):
    """An LLM endpoint failed for good, or answered what cannot be used."""


class TrainerError(SediError):
    """The trainee, its data or its checkpoint cannot be used."""


class UntrustedCheckpoint(TrainerError):
    """A checkpoint was not sealed by this installation. Loading it would run whatever code it holds."""

    permanent = True


class RankRefused(TrainerError):
    """A rank of a training ended for what lasts: started again it would end in the same way."""

    permanent = True
