"""Reading a whole run into its fold, without a group and without changing anything.

Topics are read effects first and causes last, each up to its end at that moment. So of a run that goes on meanwhile
every effect is found together with its cause, and the books can be audited at any time.
"""

from consumers.fold import RunFold
from infra.log import LogReader
from infra.run import read_run
from infra.settings import Settings
from schemas.topics import dead_letter_name, topic_specs

_PASSES = (("seed-commands", "training-log", "rejected"), ("kept",), ("generated", "calls", "run"))
TOPICS = tuple(topic for topics in _PASSES for topic in topics)


def dead_letter_topics() -> tuple[str, ...]:
    """Short names of the dead-letter topics of a run."""
    return tuple(dead_letter_name(spec.name) for spec in topic_specs() if spec.dead_letters)


def read_fold(settings: Settings, run: str, *, dead_letters: bool = True) -> RunFold:
    """The fold of the run as it is now.

    Raises RunError when there is no such run or it was never configured, BrokerError when the cluster does not answer.
    """
    configured, _ = read_run(settings, run)
    fold = RunFold(configured)
    for topics in (*_PASSES, dead_letter_topics() if dead_letters else ()):
        if not topics:
            continue
        with LogReader(settings, run, topics, "fold") as reader:
            for record in reader.read_to_end():
                fold.apply(record)
    return fold
