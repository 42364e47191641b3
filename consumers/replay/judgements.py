"""Judges' scores in an audit: each is the one that its answer parses to, of a kept row.

They are checked after all generations, because a judge may come long after the filter; its answers are held until then.
Scores that a command used are read before it, and once more then. There the scores on the log count, even a wrong one.
"""

from collections.abc import Mapping
from itertools import chain

from consumers.replay.digests import Digests, judged_content
from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.findings import Findings, Kind
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
        self._repeats = RepeatCheck(findings)
        self._first = FirstJudge()
        self.count = 0

    def judge(self, through: int) -> FirstJudge:
        """The first judge's scores up to the record at `through`, or up to the last."""
        while self._first.offset < through and (record := self._stream.take()) is not None:
            self._first.apply(record.event if isinstance(record.event, InstructionJudged) else None, record.offset)
        return self._first

    def check(self, kept: Mapping[str, InstructionKept]) -> None:
        """Check all of it; `kept` are the rows by id."""
        for record in chain(self._stream.again(), iter(self._stream.take, None)):
            event = record.event
            if not isinstance(event, InstructionJudged):
                self._findings.cannot_read(record, str(record.error))
            elif self._repeats.fresh(record, event, content(record)):
                self.count += 1
                self._digests.add("judged", judged_content(event))
                self._check_row(record, event, kept.get(event.kept_id))
                self._check_answers(record, event)
                self._check_score(record, event)

    def _check_row(self, record: Record, event: InstructionJudged, row: InstructionKept | None) -> None:
        if row is None:
            self._report("unexpected", record, event, "is of a row that was not kept", event.kept_id, None)
            return
        recorded = event.generated_offset, event.place, event.cluster
        actual = row.generated_offset, row.place, row.cluster
        if recorded != actual:
            self._report("altered", record, event, "names another place of its row", recorded, actual)

    def _check_answers(self, record: Record, event: InstructionJudged) -> None:
        for step, answer in enumerate(event.answers):
            on_ledger = self._answers.take(answer.request_id, answer.attempt)
            if on_ledger != answer or answer.request_id != ids.request_id(record.id, step):
                what = "holds an answer that is not the one on `calls`"
                self._report("answer", record, event, what, answer, on_ledger)

    def _check_score(self, record: Record, event: InstructionJudged) -> None:
        parsed = [score_of(answer, event.scale, reading=event.reading) for answer in event.answers]
        for score in parsed[:-1]:
            if score.value is not None:
                self._report("read", record, event, "has another request after a score", None, score.value)
        if not parsed:
            if event.score is not None:
                self._report("read", record, event, "has a score without an answer", event.score, None)
            return
        last = parsed[-1]
        # without a score the reason may be an endpoint's refusal, which is in no answer
        if event.score != last.value or (event.score is not None and event.reason != last.reason):
            recorded = event.score, event.reason
            self._report("read", record, event, "is not what its answer parses to", recorded, tuple(last))

    def _report(
        self, kind: Kind, record: Record, event: InstructionJudged, what: str, recorded: object, decided: object
    ) -> None:
        what = f"The judgement of row {event.kept_id} by {event.judge.name}, at {record.offset} of judged, {what}."
        self._findings.diverged(kind, record, event.generated_offset, what, recorded=recorded, decided=decided)
