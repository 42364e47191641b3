"""Withdraws documents of a run: nothing is made from them any more.

A long text is several documents. Who withdraws one of them means the text, so all of its parts are withdrawn.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.documents.corpus.add import CLIENT
from producers.documents.corpus.known import known_documents
from schemas import ids
from schemas.documents import DocumentWithdrawn
from schemas.errors import ConfigurationError, RunError


@dataclass(frozen=True)
class WithdrawnDocuments:
    """What one start has withdrawn, or with `dry_run` would have.

    withdrawn   in the order of the log
    before      those of the same texts that were withdrawn already
    parts       of these, how many were not named: they are other parts of a text that was
    """

    run: str
    dry_run: bool
    withdrawn: tuple[str, ...]
    before: tuple[str, ...]
    parts: int


def withdraw_documents(
    settings: Settings, run: str, documents: Iterable[str], reason: str, *, dry_run: bool = False
) -> WithdrawnDocuments:
    """Write a withdrawal of each document that has none, and of all other parts of its text.

    documents   ids, or the starts of them
    dry_run     write nothing; then no reason is needed

    Raises ConfigurationError without a reason, RunError for one that is not on the log, or the start of several. Then
    none is withdrawn.
    """
    if not reason.strip() and not dry_run:
        raise ConfigurationError("A withdrawal needs a reason: --reason TEXT. It stays on the log.")
    known = known_documents(KafkaSource(settings, run))
    named = {whole_id(given, known.documents, run) for given in documents}
    wanted = known.with_all_parts(named)
    before = tuple(id for id in wanted if id in known.withdrawals)
    new = tuple(id for id in wanted if id not in known.withdrawals)
    if not dry_run:
        with LogWriter(settings, run, CLIENT) as log:
            for id in new:
                event = DocumentWithdrawn(document_id=id, reason=reason.strip())
                log.write(event, key=id, id=ids.withdrawn_id(id), causation_id=id)
    return WithdrawnDocuments(run, dry_run, new, before, len(wanted) - len(named))


def whole_id(given: str, there: Iterable[str], run: str) -> str:
    """The id that is given, or that alone begins with it. Raises RunError for none or several."""
    found = [id for id in there if id.startswith(given)]
    if given in found:
        return given
    if len(found) == 1 and given:
        return found[0]
    if found and given:
        raise RunError(f"{len(found)} documents of run {run!r} begin with {given!r}. Give more of the id.")
    raise RunError(f"Run {run!r} has no document {given!r}. `sedi corpus list --run {run}` shows those there are.")
