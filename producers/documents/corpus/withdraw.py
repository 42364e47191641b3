"""Withdraws documents of a run: nothing is made from them any more."""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.documents.corpus.add import CLIENT
from producers.documents.corpus.known import documents_on_log, withdrawals_on_log
from schemas import ids
from schemas.documents import DocumentWithdrawn
from schemas.errors import ConfigurationError, RunError


@dataclass(frozen=True)
class WithdrawnDocuments:
    """What one start has withdrawn; `before`: those that were withdrawn already."""

    run: str
    withdrawn: tuple[str, ...]
    before: tuple[str, ...]


def withdraw_documents(settings: Settings, run: str, documents: Iterable[str], reason: str) -> WithdrawnDocuments:
    """Write a withdrawal of each document that has none; a document is named by its id, or by the start of it.

    Raises ConfigurationError without a reason, RunError for one that is not on the log, or the start of several. Then
    none is withdrawn.
    """
    if not reason.strip():
        raise ConfigurationError("A withdrawal needs a reason: --reason TEXT. It stays on the log.")
    source = KafkaSource(settings, run)
    there = [id for id, _ in documents_on_log(source)]
    wanted = list(dict.fromkeys(whole_id(given, there, run) for given in documents))
    before = withdrawals_on_log(source)
    new = [id for id in wanted if id not in before]
    with LogWriter(settings, run, CLIENT) as log:
        for id in new:
            event = DocumentWithdrawn(document_id=id, reason=reason.strip())
            log.write(event, key=id, id=ids.withdrawn_id(id), causation_id=id)
    return WithdrawnDocuments(run, tuple(new), tuple(id for id in wanted if id in before))


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
