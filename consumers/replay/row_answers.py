"""Answered rows in an audit: each kept row has one event on `answered`, in the order of `kept`, and it is the row as it
was kept with what its raw answers parse to.

They are checked after all generations, because an answerer may come long after the filter; `answered` is read once more
for it, so that none of its records is held. A row whose answer is still to come is counted, and is no divergence.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from msgspec.structs import replace

from consumers.replay.digests import Digests, answered_content
from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.findings import Findings, Kind, differences, place_of
from consumers.replay.generations import GenerationAnswers
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, InstructionKept
from schemas.policy import Policy
from streams.core.answering import AnsweredRow, has_answer, read_again
from streams.core.steps import answer_steps, asks_apart


class RowAnswerAudit:
    """Checks the records of `answered`, one partition after the other.

    count     answered rows that were checked
    waiting   kept rows without an answer, after the last answered one of their cluster
    """

    def __init__(self, policy: Policy, calls: GenerationAnswers, findings: Findings, digests: Digests) -> None:
        self._policy = policy
        self._calls = calls
        self._findings = findings
        self._digests = digests
        self._repeats = RepeatCheck(findings)
        self.count = 0
        self.waiting = 0

    def check(self, streams: Iterable[EffectStream], kept: Mapping[str, InstructionKept]) -> None:
        """Check what was taken from these partitions; `kept` are the rows by id, in total order."""
        partitions = {stream.partition: stream for stream in streams}
        by_cluster: dict[int, list[InstructionKept]] = defaultdict(list)
        for row in kept.values():
            by_cluster[row.cluster].append(row)
        for partition in sorted({*partitions, *by_cluster}):
            records = partitions[partition].again() if partition in partitions else ()
            self._check_partition(partition, records, by_cluster.pop(partition, []), kept)

    def _check_partition(
        self,
        partition: int,
        records: Iterable[Record],
        rows: list[InstructionKept],
        kept: Mapping[str, InstructionKept],
    ) -> None:
        places = {row.id: place for place, row in enumerate(rows)}
        last = -1
        found = set()
        for record in records:
            event = record.event
            if not isinstance(event, InstructionAnswered):
                self._findings.cannot_read(record, str(record.error))
                continue
            if not self._repeats.fresh(record, event, content(record)):
                continue
            self.count += 1
            self._digests.add("answered", answered_content(event))
            row = kept.get(event.row.id)
            if row is None or self._policy.answer != "kept":
                what = "is of a row that was not kept" if row is None else "is in a run that answers all instructions"
                self._report("unexpected", record, event, what, event.row.id, None)
                continue
            place = places.get(row.id, -1)
            if place < last:
                what = f"is after that of row {rows[last].id}, which was kept later"
                self._report("reordered", record, event, what, None, None)
            last = max(last, place)
            found.add(row.id)
            self._check_event(record, event, row)
        if self._policy.answer != "kept":
            return
        for row in rows[: last + 1]:
            if row.id not in found:
                what = f"Row {row.id} has no InstructionAnswered, and rows of cluster {partition} after it have one."
                place_on_log = "answered", partition, -1
                self._findings.diverged("missing", place_on_log, row.generated_offset, what, id=row.id)
        self.waiting += len(rows) - last - 1

    def _check_event(self, record: Record, event: InstructionAnswered, row: InstructionKept) -> None:
        as_kept = replace(event.row, input=row.input, output=row.output)
        own = ids.answered_id(row.id)
        if as_kept != row:
            recorded, decided = differences(as_kept, row)
            self._report("altered", record, event, f"differs from its row in {', '.join(recorded)}", recorded, decided)
        if (record.id, record.key) != (own, row.id.encode()):
            self._report("altered", record, event, "has an id or a key that is not its own", record.id, own)
        style = "" if has_answer(row) else event.style
        if style != event.style or (not has_answer(row) and not asks_apart(style)):
            what = "is in a style that does not answer one instruction" if style else "names no style"
            what = "names a style, but its row had its output when it was kept" if has_answer(row) else what
            self._report("altered", record, event, what, event.style, None)
            return
        self._check_calls(record, event)
        read = read_again(self._policy, event, row)
        written = AnsweredRow(
            replace(row, input=event.row.input, output=event.row.output), event.unparsed, event.reason
        )
        if written != read:
            one, other = next(sides for sides in zip(written, read, strict=True) if sides[0] != sides[1])
            self._report("read", record, event, "is not what its answers parse to", one, other)

    def _check_calls(self, record: Record, event: InstructionAnswered) -> None:
        """Each answer is the one on `calls` to one of its requests; a request without one has none there."""
        expected = [ids.request_id(ids.answered_id(event.row.id), step) for step in range(answer_steps(event.style))]
        for step, answer in enumerate(event.answers):
            on_ledger = self._calls.take(answer.request_id, answer.attempt)
            if on_ledger != answer or answer.request_id not in expected[step : step + 1]:
                what = "holds an answer that is not its own on `calls`"
                self._report("answer", record, event, what, answer, on_ledger)
        if event.answers and event.model != event.answers[0].model:
            what = "names another model than answered"
            self._report("altered", record, event, what, event.model, event.answers[0].model)
        if event.reason != "too_large":  # then its answers are on `calls` only
            for request in expected[len(event.answers) :]:
                self._calls.expect_none(request, partial(self._left_out, record, event))

    def _left_out(self, record: Record, event: InstructionAnswered, answer: CallAnswered) -> None:
        self._report("answer", record, event, "leaves out an answer that is on `calls`", None, answer)

    def _report(
        self, kind: Kind, record: Record, event: InstructionAnswered, what: str, recorded: object, decided: object
    ) -> None:
        self._findings.diverged(
            kind,
            place_of(record),
            event.row.generated_offset,
            f"The answer to row {event.row.id}, at {record.offset} of answered/{record.partition}, {what}.",
            id=record.id,
            recorded=recorded,
            decided=decided,
        )
