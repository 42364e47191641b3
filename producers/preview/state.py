"""The filter's state of a run as of now, from its kept rows: enough to decide in memory what would be kept next.

Scores of seeds, lane numbers and totals are not in it. Nothing is written, and nothing decided again, so reading it is
fast also for a long run.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import groupby

from infra.log.source import Source
from infra.models.embeddings import embedder_for
from producers.calls.kept_rows import READ_ROWS, KeptRows
from schemas.events import ClassifierFitted, InstructionKept, RunConfigured
from schemas.policy import Policy
from streams.core.decider import Decision, FilterState, first_classifier, initial_state, restore, use_classifier
from streams.core.releases import recorded_releases


def decided_state(source: Source, configured: RunConfigured, classifiers: Sequence[ClassifierFitted]) -> FilterState:
    """The state after all that is decided now. Instructions that were released block nothing, so they are not in it.

    Raises ConfigurationError when the policy's embedding model is not installed.
    """
    embedder = embedder_for(configured.policy)
    state = initial_state(configured, embedder)
    fitted = classifiers or (first_classifier(configured.policy, configured.seeds, embedder),)
    use_classifier(state, fitted[-1])
    return restore(state, _decisions(_rows(source), _released(source, configured.policy)))


def _decisions(rows: Iterable[InstructionKept], released: Set[str]) -> Iterator[Decision]:
    for offset, kept in groupby(rows, key=lambda row: row.generated_offset):
        found = tuple(row for row in kept if row.id not in released)
        yield Decision(offset=offset, generated=len(found), kept=found)


def _rows(source: Source) -> Iterator[InstructionKept]:
    reader = KeptRows(source)
    try:
        while rows := reader.take(READ_ROWS):
            yield from rows
            if len(rows) < READ_ROWS:
                return
    finally:
        reader.close()


def _released(source: Source, policy: Policy) -> Set[str]:
    with source.open(["run"]) as reading:
        return recorded_releases(record.event for record in reading.rest()).of_rows(policy).keys()
