"""A judge judges each row once, in the order of the rows, and continues from the log alone."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

import pytest

from infra.log.writer import LogWriter
from producers.backends.base import Answer, CallFailure, CallPlace, EndpointRefused, Request, RequestRefused, Sampling
from producers.calls.caller import Caller
from producers.calls.cost import PlannedCall, Prices
from producers.calls.kept_rows import KeptRows
from producers.calls.queue_position import RowsPosition
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.generate.progress import LaneProgress
from producers.judge.progress import JudgeProgress
from producers.judge.scoring import JudgeWorker, RowJudge, RowQueue, RowSample
from producers.prompts.judge import RUBRICS
from schemas import ids
from schemas.events import CallAnswered, CallStarted, InstructionJudged, InstructionKept, Judge, Usage
from streams.core.ledger import Ledger
from tests.unit.consumers.recorded_run import row_id, source_of, whole_run
from tests.unit.producers.memory_log import MemoryLog, configured

WHO = Judge(backend="scripted", model="tiny", rubric="accuracy", version=1)
LANE = "judge/accuracy/1/tiny"
FOUR = "4\nSo."


def kept(number: int) -> InstructionKept:
    generation = ids.generation_id("main", number)
    return InstructionKept(
        id=ids.instruction_id(generation, 0),
        instruction=f"Name thing {number}",
        input="",
        output=f"Thing {number}",
        generation_id=generation,
        generated_offset=number,
        place=0,
        cluster=number % 2,
        classifier_offset=0,
    )


class Rows:
    """Stands in for the rows of a run: all there from the start."""

    def __init__(self, count: int) -> None:
        self.total = count
        self._left = [kept(number) for number in range(count)]

    def take(self, most: int) -> list[InstructionKept]:
        taken, self._left = self._left[:most], self._left[most:]
        return taken

    def position(self) -> RowsPosition:
        return RowsPosition(-1, self.total, 0, {0: self.total - len(self._left)}, {})


class Scripted:
    """Answers by the place of the call; notes the places and requests."""

    name = "scripted"
    model = "tiny"

    def __init__(
        self, says: Callable[[CallPlace], str | CallFailure] = lambda at: f"{at.number % 11 / 2:g}\nSo."
    ) -> None:
        self._says = says
        self.asked: list[tuple[CallPlace, Request]] = []

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        self.asked.append((place, request))
        for _ in range(random.Random(place.number).randrange(8)):  # they do not end in their order
            await asyncio.sleep(0)
        answer = self._says(place)
        if isinstance(answer, CallFailure):
            raise answer
        return Answer(answer, "stop", Usage(prompt_tokens=90, completion_tokens=10), "tiny-1", 0.1)

    async def close(self) -> None:
        """Nothing is open."""


def judging(
    log: MemoryLog,
    backend: Scripted,
    rows: int,
    *,
    attempts: int = 2,
    sample: RowSample | None = None,
    may_call: Callable[[LaneProgress, PlannedCall], str | None] = lambda _, __: None,
) -> JudgeWorker:
    """A judge that goes through so many rows and ends."""
    progress = JudgeProgress(LANE, configured(), judge=WHO.name)
    log.refresh(progress)
    caller = Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=lambda: log.refresh(progress),
        may_call=may_call,
        prices=Prices(1.0, 2.0),
        retries=Retries(attempts=2, first_pause_s=0.0),
        rate=RateControl(RateOptions(), 4),
        known=progress,
    )
    row_judge = RowJudge(WHO, RUBRICS["accuracy"], False, Sampling(), attempts)
    queue = RowQueue(cast(KeptRows, Rows(rows)), row_judge, sample or RowSample(), until_end=True)
    return JudgeWorker(queue, caller, progress, in_flight=4)


def judge(log: MemoryLog, backend: Scripted, rows: int, sample: RowSample | None = None) -> None:
    asyncio.run(judging(log, backend, rows, sample=sample).run(backend))


def judged_by(log: MemoryLog, backend: Scripted, rows: int) -> list[InstructionJudged]:
    judge(log, backend, rows)
    return log.events(InstructionJudged)


def without_judgements(log: MemoryLog, starts: int | None = None) -> MemoryLog:
    """The log of a judge that died before it wrote a judgement, or even after so many starts of calls."""
    left = MemoryLog()
    for record in log.records:
        event, decoded = record.event, record.decoded
        if event is None or decoded is None or isinstance(event, InstructionJudged):
            continue
        if starts is not None and not (isinstance(event, CallStarted) and event.number < starts):
            continue
        left.send(event, key=decoded.key, id=record.id, causation_id=decoded.meta.causation_id)
    return left


def ledger(log: MemoryLog) -> Ledger:
    found = Ledger()
    for record in log.records:
        assert record.event is not None
        found.apply(record.event, record.id)
    return found


def test_judgements_are_written_in_the_order_of_the_rows_and_name_what_caused_them() -> None:
    log = MemoryLog()
    found = judged_by(log, Scripted(), 30)
    assert [event.kept_id for event in found] == [kept(number).id for number in range(30)]
    assert [event.score for event in found] == [number % 11 / 2 for number in range(30)]
    assert {event.reason for event in found} == {"So."}
    first = next(record for record in log.records if isinstance(record.event, InstructionJudged))
    assert first.decoded is not None
    judgement = ids.judgement_id(kept(0).id, WHO.name)
    assert (first.id, first.decoded.key) == (judgement, kept(0).id)
    assert first.decoded.meta.causation_id == ids.child(ids.request_id(judgement, 0), "answered/1")
    assert all(event.answers[0] in log.events(CallAnswered) for event in found)
    assert found[0].cost_usd == pytest.approx(110e-6)


def test_its_calls_are_on_the_ledger_in_a_lane_of_its_own_with_the_row_as_cause() -> None:
    log = MemoryLog()
    judged_by(log, Scripted(), 12)
    starts = log.events(CallStarted)
    assert {event.lane for event in starts} == {LANE}
    assert [event.number for event in starts] == list(range(12))
    causes = {r.decoded.meta.causation_id for r in log.records if r.decoded and isinstance(r.event, CallStarted)}
    assert causes == {kept(number).id for number in range(12)}
    assert (ledger(log).answered, ledger(log).open, ledger(log).lost) == (12, 0, 0)


def test_what_is_judged_is_not_judged_again() -> None:
    log, again = MemoryLog(), Scripted()
    judged_by(log, Scripted(), 10)
    found = judged_by(log, again, 14)
    assert sorted(place.number for place, _ in again.asked) == [10, 11, 12, 13]
    assert [event.kept_id for event in found] == [kept(number).id for number in range(14)]


def test_an_answer_that_was_paid_for_is_not_asked_for_again_and_gives_the_same_judgement() -> None:
    whole, nobody = MemoryLog(), Scripted()
    judged_by(whole, Scripted(), 8)
    log = without_judgements(whole)
    assert judged_by(log, nobody, 8) == whole.events(InstructionJudged)
    assert not nobody.asked


def test_rows_that_were_begun_keep_their_numbers_and_new_ones_go_on_behind_them() -> None:
    whole, second = MemoryLog(), Scripted()
    judged_by(whole, Scripted(), 8)
    log = without_judgements(whole, starts=3)
    judged_by(log, second, 6)
    assert sorted((place.number, place.attempt) for place, _ in second.asked) == [
        (0, 2),
        (1, 2),
        (2, 2),
        (3, 1),
        (4, 1),
        (5, 1),
    ]
    assert len(log.events(InstructionJudged)) == 6
    assert ledger(log).lost == 3


def test_an_answer_without_a_score_is_asked_for_again_and_both_are_in_the_judgement() -> None:
    backend = Scripted(lambda place: "3\nNow so." if place.step else "I think it is fine.")
    (found,) = judged_by(MemoryLog(), backend, 1)
    assert (found.score, found.reason) == (3.0, "Now so.")
    assert [answer.raw for answer in found.answers] == ["I think it is fine.", "3\nNow so."]
    first, second = (request.sampling.temperature for _, request in backend.asked)
    assert first == 0.0
    assert second, "at temperature 0 it would say the same again"


def test_a_row_that_gets_no_readable_answer_is_judged_without_a_score() -> None:
    log = MemoryLog()
    work = judging(log, Scripted(lambda place: "No idea."), 3, attempts=3)
    asyncio.run(work.run(Scripted()))
    found = log.events(InstructionJudged)
    assert [event.score for event in found] == [None] * 3
    assert all(len(event.answers) == 3 and "not a score" in event.reason for event in found)
    assert (work.written, work.unreadable) == (3, 3)


def test_a_refused_row_is_judged_without_a_score_and_four_in_a_row_end_it() -> None:
    found = judged_by(MemoryLog(), Scripted(lambda at: RequestRefused("no") if at.number == 1 else FOUR), 3)
    assert [event.score for event in found] == [4.0, None, 4.0]
    assert found[1].reason == "refused: no"
    with pytest.raises(RequestRefused):
        judged_by(MemoryLog(), Scripted(lambda place: RequestRefused("no")), 30)


def test_an_endpoint_that_refuses_everybody_ends_it_with_what_is_whole_written() -> None:
    log = MemoryLog()
    with pytest.raises(EndpointRefused):
        judged_by(log, Scripted(lambda at: EndpointRefused("401") if at.number == 5 else FOUR), 30)
    assert [event.kept_id for event in log.events(InstructionJudged)] == [kept(number).id for number in range(5)]
    assert ledger(log).open == 0, "what was under way is on the ledger"


def test_a_limit_ends_it_and_a_later_start_goes_on() -> None:
    log = MemoryLog()
    work = judging(log, Scripted(), 20, may_call=lambda known, _: "enough" if known.ledger.started >= 7 else None)
    asyncio.run(work.run(Scripted()))
    assert work.caller.halted == "enough"
    assert 7 <= len(log.events(InstructionJudged)) == ledger(log).answered < 20
    found = judged_by(log, Scripted(), 20)
    assert [event.kept_id for event in found] == [kept(number).id for number in range(20)]
    assert ledger(log).answered == 20


def test_a_sample_is_drawn_by_the_rows_ids_and_is_part_of_a_larger_one() -> None:
    rows = [kept(number) for number in range(2_000)]
    tenth = {row.id for row in rows if RowSample(sample=0.1).includes(row)}
    half = {row.id for row in rows if RowSample(sample=0.5).includes(row)}
    assert tenth < half
    assert 130 < len(tenth) < 270
    assert all(RowSample(sample=1.0).includes(row) for row in rows)


def test_a_limit_on_rows_counts_those_that_were_judged_before() -> None:
    log, second = MemoryLog(), Scripted()
    judge(log, Scripted(), 20, RowSample(limit=6))
    assert len(log.events(InstructionJudged)) == 6
    judge(log, second, 20, RowSample(limit=8))
    assert [event.kept_id for event in log.events(InstructionJudged)] == [kept(number).id for number in range(8)]
    assert len(second.asked) == 2


def test_rows_of_a_sample_first_and_the_rest_later_are_all_counted_by_the_ledger() -> None:
    log = MemoryLog()
    judge(log, Scripted(lambda at: FOUR), 2_600, RowSample(sample=0.6))
    judged_by(log, Scripted(lambda at: FOUR), 2_600)
    numbers = [event.number for event in log.events(CallStarted)]
    assert numbers == list(range(2_600)), "numbers that went back would be behind what the ledger remembers"
    assert (ledger(log).started, ledger(log).answered, ledger(log).duplicates) == (2_600, 2_600, 0)


def test_kept_rows_come_in_the_runs_order_as_far_as_they_are_decided() -> None:
    story = whole_run()
    source = source_of(story)
    rows = KeptRows(source)
    expected = [row_id(0, 0), row_id(0, 1), row_id(1, 2), row_id(2, 0), row_id(3, 1)]
    assert [row.id for row in rows.take(2)] == expected[:2]
    assert [row.id for row in rows.take(10)] == expected[2:]
    assert rows.total == 5
    assert rows.take(10) == []
    story.decision(ids.generation_id("main", 5), story.generations_written()[5])
    source.records = list(story.records())
    assert [row.id for row in rows.take(10)] == [row_id(5, 0)]
    assert rows.take(10) == []
