"""Read a whole run into its fold, without a consumer group and without changing anything.

A reading covers every effect together with its cause (`infra.log.source`), so a running run can be checked at any time.
"""

from consumers.folds.run_fold import RunFold
from infra.log.run import configuration
from infra.log.source import TOPICS, Source, dead_letter_topics


def read_fold(source: Source, *, dead_letters: bool = True) -> RunFold:
    """The fold of the run as it is now.

    Raises RunError when there is no such run or it was never configured, BrokerError when the cluster does not answer.
    """
    configured, _ = configuration(source)
    fold = RunFold(configured)
    with source.open((*TOPICS, *(dead_letter_topics() if dead_letters else ()))) as reading:
        for record in reading.rest():
            fold.apply(record)
    return fold
