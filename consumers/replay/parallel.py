"""An audit in several processes (`consumers.replay.auditor`), and their results merged."""

import gc
import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import reduce
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from consumers.evaluation.results import EvaluationReport
from consumers.folds.documents import read_withdrawals
from consumers.replay.auditor import Auditor, Progress
from consumers.replay.evaluations import EVALUATED
from consumers.replay.extent import AuditExtent
from consumers.replay.findings import Place
from consumers.replay.result import Audit, with_divergences
from infra.log.dead_letters import DeadLetter, parse
from infra.log.run import configuration
from infra.log.source import TOPICS, Source, dead_letter_topics
from schemas.errors import RunError

_DECIDING_TOPICS = ("run", "generated", "kept", "rejected")
_WORTH_SHARING = 4_000  # generations; a process needs a second to start
# Cost of a generation, in units of deciding it again: taken as recorded, decided.
_COSTS = 0.2, 1.0
_CONDUCTORS_COSTS = 0.3, 1.2
_START = 800.0  # generations that could be decided while a process starts


def audit(
    source: Source,
    extent: AuditExtent | None = None,
    *,
    jobs: int = 1,
    progress: Progress = lambda done, of: None,
    at_end: Callable[[Auditor], None] = lambda auditor: None,
) -> Audit:
    """Decide a run again and compare, in `jobs` processes. `at_end` is called with the auditor in its last state.

    Raises RunError when the run was never configured, ConfigurationError for an empty range.
    """
    started = time.monotonic()
    wanted = extent or AuditExtent()
    starts = _starts(source, jobs) if wanted == AuditExtent() else [0]
    with ExitStack() as stack:
        parts = [
            stack.enter_context(_Part(source, AuditExtent(from_offset=start, to_offset=next_start - 1)))
            for start, next_start in pairwise(starts)
        ]
        last_part = AuditExtent(from_offset=starts[-1]) if len(starts) > 1 else wanted
        auditor = run(source, last_part, True, progress)
        at_end(auditor)
        found = [*(part.result() for part in parts), auditor.audit(0.0)]
    left = auditor.findings.put_aside - _dead_letters(source) if auditor.findings.put_aside else set()
    merged = reduce(merge, found)
    return msgspec.structs.replace(
        merged,
        not_in_dead_letters=tuple(sorted(left)),
        evaluation=recomputed(source) if any(name in merged.checked for name in EVALUATED) else msgspec.UNSET,
        seconds=time.monotonic() - started,
    )


def run(source: Source, extent: AuditExtent, conducting: bool, progress: Progress = lambda done, of: None) -> Auditor:
    """One pass over a run."""
    configured, classifiers = configuration(source)
    with source.open(TOPICS if conducting else _DECIDING_TOPICS) as reading:
        withdrawals = read_withdrawals(source).offsets if conducting else None
        auditor = Auditor(configured, classifiers, reading, extent, withdrawals)
        try:
            auditor.run(progress)
        finally:
            gc.unfreeze()
    return auditor


def merge(before: Audit, after: Audit) -> Audit:
    """The results of two adjacent parts; the conductor's is the last."""
    checked = {name: count + before.checked.get(name, 0) for name, count in after.checked.items()}
    merged = with_divergences(after, before.found, before.by_kind)
    return msgspec.structs.replace(merged, from_offset=before.from_offset, checked=checked)


def recomputed(source: Source) -> EvaluationReport:
    """The report of everything on the log about evaluations, from verdicts that are decided again: one that was altered
    on the log does not count here, and is among the divergences. Imported here only: most logs have none."""
    from consumers.evaluation.report import evaluation_report
    from consumers.replay.redecided import RedecidedSource

    return evaluation_report(RedecidedSource(source))


def _dead_letters(source: Source) -> set[Place]:
    """The places that dead letters came from."""
    with source.open(dead_letter_topics()) as reading:
        letters = (parse(record) for record in reading.rest())
        return {(letter.topic, *letter.origin) for letter in letters if isinstance(letter, DeadLetter)}


def _starts(source: Source, jobs: int) -> list[int]:
    """The offset where each process begins to decide, so that all end at about the same time; the conductor's last."""
    with source.open(["generated"]) as reading:
        end = reading.ends()["generated", 0]
    if jobs < 2 or end < _WORTH_SHARING:
        return [0]
    low, high = 0.0, 2.0 * end
    starts: list[float] = []
    for _ in range(50):  # find the time in which `jobs` processes together reach the end
        time_each = (low + high) / 2
        starts = [0.0]
        for _ in range(jobs - 1):
            starts.append(_reached(starts[-1], time_each - _START, *_COSTS))
        reached = _reached(starts[-1], time_each, *_CONDUCTORS_COSTS)
        low, high = (time_each, high) if reached < end else (low, time_each)
    return sorted({round(start) for start in starts})


def _reached(start: float, time: float, skip: float, decide: float) -> float:
    """How far a process gets in a time if it takes what is before `start` as recorded and decides from there on."""
    return start + max(0.0, time - skip * start) / decide


class _Part:
    """A part of the audit in a process of its own."""

    def __init__(self, source: Source, extent: AuditExtent) -> None:
        context = multiprocessing.get_context("spawn")
        self._results, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_audit_part, args=(source, extent, sender), daemon=True)
        self._process.start()
        sender.close()

    def result(self) -> Audit:
        """Wait for the result. Raises what the process raised."""
        try:
            found: Any = self._results.recv()
        except EOFError:
            self._process.join()
            raise RunError(
                f"A process of the audit ended with {self._process.exitcode}. Was it killed? Try again with --jobs 1."
            ) from None
        if isinstance(found, Exception):
            raise found
        return msgspec.json.decode(found, type=Audit)

    def __enter__(self) -> "_Part":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()
        self._results.close()


def _audit_part(source: Source, extent: AuditExtent, results: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    try:
        results.send(msgspec.json.encode(run(source, extent, False).audit(0.0)))
    except Exception as error:  # noqa: BLE001 - the parent raises it again
        results.send(error)
