"""The one tree of errors that a user may see, each with the exit code that the command line ends with.

    SediError                       1
    ├── ConfigurationError          2
    ├── SchemaError                 1
    │   ├── UnknownEvent            1
    │   └── MalformedEvent          1
    ├── BrokerError                 3
    │   ├── ClusterRefused          4
    │   ├── TopicMismatch           1
    │   └── NotWritable             3   infra.log.writer
    ├── RunError                    1
    │   └── RunAtWork               1
    ├── TooManyDeadLetters          5
    ├── BackendError                1
    │   ├── BatchesRefused          4   producers.backends.batch.services
    │   └── CallFailure             1   producers.backends.base
    │       ├── Transient           1   producers.backends.base
    │       ├── RequestRefused      1   producers.backends.base
    │       └── EndpointRefused     4   producers.backends.base
    │           └── BatchNotKnown   4   producers.backends.batch.endpoint
    └── TrainerError                1
        ├── UntrustedCheckpoint     4
        ├── RankLost                1
        └── RankRefused             4

Those with a module beside them carry data of that module and are defined there. `sedi.main` turns an error into its
sentence and its exit code; anything outside the tree is a fault of this program and shows a traceback. Every message
names what is wrong, with the value, and what to do.
"""


class SediError(Exception):
    """Base of all errors that the command line prints as one sentence instead of a traceback. Exit code 1.

    permanent   the same command would fail in the same way again: somebody has to change something first. Exit code 4
                unless a class says otherwise
    """

    permanent = False


class ConfigurationError(SediError):
    """Raised when a setting, an option, a policy or an input file of the user is wrong. Exit code 2."""

    permanent = True


class SchemaError(SediError):
    """Raised when a record cannot be decoded as its declared type. Readers write it to the topic's dead-letter topic;
    where a command needs the record itself, exit code 1."""


class UnknownEvent(SchemaError):
    """Raised when this program does not know the event's type or its version. Exit code 1."""


class MalformedEvent(SchemaError):
    """Raised when a record's bytes or headers do not fit its declared type. Exit code 1."""


class BrokerError(SediError):
    """Raised when the Kafka cluster cannot be started, reached or written to. Exit code 3."""


class ClusterRefused(BrokerError):
    """Raised when the cluster refuses us: login, certificate, protocol, or a missing right. Exit code 4."""

    permanent = True


class TopicMismatch(BrokerError):
    """Raised when a topic exists with other settings than the run declares. Exit code 1."""


class RunError(SediError):
    """Raised when the run's log does not hold what is asked for. Exit code 1."""


class RunAtWork(RunError):
    """A run is not deleted because it is being written to. Exit code 1."""


class TooManyDeadLetters(SediError):
    """Raised when so many records of a topic are dead-lettered that the fault must be in a program. Exit code 5."""

    permanent = True


class BackendError(SediError):
    """Raised when an LLM endpoint failed for good, or its answer cannot be used. Exit code 1."""


class TrainerError(SediError):
    """Raised when the model, its data or its checkpoint cannot be used. Exit code 1."""


class UntrustedCheckpoint(TrainerError):
    """Raised before loading a checkpoint that this installation has not sealed, since loading runs code that it may
    hold. Exit code 4."""

    permanent = True


class RankLost(TrainerError):
    """Raised by a collective when another rank has died or does not join. Exit code 1."""


class RankRefused(TrainerError):
    """Raised by the launcher when a rank failed with a permanent error. Exit code 4."""

    permanent = True
