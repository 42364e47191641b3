"""Training windows in an audit: within an epoch each cluster's rows are trained in the order they were kept, without
a gap, and steps follow one another.

The gaps that there must be are rows of documents withdrawn by the offset of `documents` that the window names; and in a
run that answers kept instructions alone, rows whose answer is not used.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from consumers.replay.answered import AnsweredSoFar
from consumers.replay.digests import Digests, window_content
from consumers.replay.effect_stream import EffectStream
from consumers.replay.findings import Findings
from consumers.replay.repeats import RepeatCheck
from consumers.replay.withdrawn import WithdrawnSoFar
from infra.log.record import Record
from schemas.events import BatchRow, TrainingLogged


class WindowAudit:
    """Follows `training-log`; `kept` are the ids of the kept rows so far, by cluster. `answered` None: rows have their
    outputs when they are kept."""

    def __init__(
        self,
        stream: EffectStream,
        kept: Sequence[Sequence[str]],
        withdrawn: WithdrawnSoFar,
        findings: Findings,
        digests: Digests,
        answered: AnsweredSoFar | None = None,
    ) -> None:
        self.count = 0
        self._rows = withdrawn
        self._answered = answered
        self._documents_offset = -1
        self._stream = stream
        self._kept = kept
        self._findings = findings
        self._digests = digests
        self._repeats = RepeatCheck(findings)
        self._head: tuple[Record, TrainingLogged] | None = None
        self._step = 0
        self._trained: dict[int, Counter[int]] = defaultdict(Counter)

    def take(self, last: int | None = None) -> tuple[Record, TrainingLogged] | None:
        """The next window; None when it is after offset `last` of `training-log`, or there is none."""
        while self._head is None and (record := self._stream.take()) is not None:
            event = record.event
            if not isinstance(event, TrainingLogged):
                self._findings.cannot_read_as(record, TrainingLogged)
                continue
            content = window_content(event)
            if self._repeats.fresh(record, event, content):
                self._digests.add("training-log", content)
                self._check(record, event)
                self._head = record, event
        head = self._head
        if head is None or (last is not None and head[0].offset > last):
            return None
        self._head = None
        return head

    def _check(self, record: Record, window: TrainingLogged) -> None:
        self.count += 1
        self._check_documents_offset(record, window)
        for step in window.steps:
            if step.step != self._step + 1:
                what = f"Step {step.step} is at {record.offset} of training-log, after step {self._step}."
                at, expected = self._findings.state().applied, self._step + 1
                self._findings.diverged("steps", record, at, what, recorded=step.step, decided=expected)
            self._step = step.step
            for row in step.rows:
                self._check_row(record, window, step.step, row)

    def _check_documents_offset(self, record: Record, window: TrainingLogged) -> None:
        offset, last, at = window.documents_offset, self._rows.last, self._findings.state().applied
        where = f"Window {window.window} of epoch {window.epoch} reflects offset {offset} of documents"
        if offset > last:
            what = f"{where}, whose last is {last}."
            self._findings.diverged("withdrawn", record, at, what, recorded=offset, decided=last)
        elif offset < self._documents_offset:
            what = f"{where}, and a window before it {self._documents_offset}."
            before = self._documents_offset
            self._findings.diverged("withdrawn", record, at, what, recorded=offset, decided=before)
        self._documents_offset = max(self._documents_offset, min(offset, last))

    def _check_row(self, record: Record, window: TrainingLogged, step: int, row: BatchRow) -> None:
        epoch, through = window.epoch, window.documents_offset
        kept = self._kept[row.cluster] if row.cluster < len(self._kept) else ()
        if self._rows.is_withdrawn(row.id, through):
            at = self._rows.rows[row.id]
            what = (
                f"Step {step} of epoch {epoch} trained row {row.id}: its document was withdrawn at {at} of documents."
            )
            self._findings.diverged("withdrawn", record, row.generated_offset, what, recorded=row.id)
            return
        if self._answered is not None and not self._answered.read_to(row.id, row.cluster):
            reason = self._answered.unused(row.id)
            why = "has no answer on `answered`" if reason is None else f"is not used ({reason})"
            what = f"Step {step} of epoch {epoch} trained row {row.id}, which {why}."
            self._findings.diverged("batch", record, row.generated_offset, what, id=row.id, recorded=row.id)
            return
        place = self._trained[epoch][row.cluster]
        while place < len(kept) and self._left_out(kept[place], through):
            place += 1
        self._trained[epoch][row.cluster] = place + 1
        expected = kept[place] if place < len(kept) else None
        if expected is None and row.generated_offset > self._findings.state().applied:
            return  # kept by a filter that died before it wrote its verdict on the generation
        if row.id != expected:
            trained = f"Step {step} of epoch {epoch} trained row {row.id} of cluster {row.cluster}"
            what = f"{trained}, whose next row was {expected}."
            at, id = row.generated_offset, row.id
            self._findings.diverged("batch", record, at, what, id=id, recorded=id, decided=expected)

    def _left_out(self, id: str, through: int) -> bool:
        """Whether a row before a trained one of its cluster is rightly not trained. One that lacks its event on
        `answered` is reported there."""
        unused = self._answered is not None and not self._answered.used(id)
        return unused or self._rows.is_withdrawn(id, through)
