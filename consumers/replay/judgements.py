"""What judges made of the rows, read again: each score is the one that its answer says, of a row that was kept.

This is looked at when all generations have been gone through, because a judge may come long after the filter; the
answers of its calls are held until then. Where a training window was answered with a judge's scores, those are read
before, and held until then too. The scores that stand on the log are what counts there, also one that is wrong.
"""

from collections import deque
from collections.abc import Mapping

from consumers.replay.digests import Digests, judged_content
from consumers.replay.effects import EffectStream, content
from consumers.replay.findings import Findings, Kind, place_of
from consumers.replay.generations import GenerationAnswers
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas import ids
from schemas.events import InstructionJudged, InstructionKept
from streams.core.judging import FirstJudge, score_of


class JudgementAudit:
    """`judged`, checked from its start to its end."""

    def __init__(self, stream: EffectStream, answers: GenerationAnswers, findings: Findings, digests: Digests) -> None:
        self._stream = stream
        self._answers = answers
        self._findings = findings
        self._digests = digests
        self._said = RepeatCheck(findings)
        self._ahead: deque[Record] = deque()
        self._first = FirstJudge()
        self.count = 0

    def judge(self, through: int) -> FirstJudge:
        """What the run's first judge had made of the rows by the record at `through`, or by the last there is."""
        while self._first.offset < through and (record := self._stream.take()) is not None:
            self._ahead.append(record)
            self._first.apply(record.event if isinstance(record.event, InstructionJudged) else None, record.offset)
        return self._first

    def check(self, kept: Mapping[str, InstructionKept]) -> None:
        """Go through all of it; `kept` are the rows by id."""
        while (record := self._ahead.popleft() if self._ahead else self._stream.take()) is not None:
            event = record.event
            if not isinstance(event, InstructionJudged):
                self._findings.cannot_read(record, str(record.error))
            elif self._said.fresh(record, record.id, content(record)):
                self.count += 1
                self._digests.add("judged", judged_content(event))
                self._row(record, event, kept.get(event.kept_id))
                self._ledger(record, event)
                self._score(record, event)

    def _row(self, record: Record, event: InstructionJudged, row: InstructionKept | None) -> None:
        if row is None:
            self._tell("unexpected", record, event, "is of a row that was not kept", event.kept_id, None)
            return
        told = event.generated_offset, event.place, event.cluster
        there = row.generated_offset, row.place, row.cluster
        if told != there:
            self._tell("altered", record, event, "says that its row stands elsewhere", told, there)

    def _ledger(self, record: Record, event: InstructionJudged) -> None:
        for step, answer in enumerate(event.answers):
            on_ledger = self._answers.take(answer.request_id, answer.attempt)
            if on_ledger != answer or answer.request_id != ids.request_id(record.id, step):
                what = "holds an answer that is not the one on `calls`"
                self._tell("answer", record, event, what, answer, on_ledger)

    def _score(self, record: Record, event: InstructionJudged) -> None:
        said = [score_of(answer, event.scale, reading=event.reading) for answer in event.answers]
        for score in said[:-1]:
            if score.value is not None:
                self._tell("read", record, event, "asked again after a score", None, score.value)
        if not said and event.score is not None:
            self._tell("read", record, event, "has a score without an answer", event.score, None)
        # why a request was refused stands in no answer
        if said and (event.score != said[-1].value or (event.score is not None and event.reason != said[-1].reason)):
            recorded = event.score, event.reason
            self._tell("read", record, event, "is not what its answer says", recorded, tuple(said[-1]))

    def _tell(self, kind: Kind, record: Record, event: InstructionJudged, what: str, told: object, is_: object) -> None:
        self._findings.diverged(
            kind,
            place_of(record),
            event.generated_offset,
            f"What {event.judge.name} made of row {event.kept_id}, at {record.offset} of judged, {what}.",
            id=record.id,
            recorded=told,
            decided=is_,
        )
