"""An answerer answers each kept row once, in the order of the rows, and continues from the log alone."""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from infra.log.writer import LogWriter
from producers.answer.progress import AnswerProgress
from producers.answer.rows import AnswerQueue, ClusterShare, RowAnswerer
from producers.backends.base import CallFailure, CallPlace, EndpointRefused, Request, RequestRefused
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.kept_rows import KeptRows
from producers.calls.ordered_work import OrderedWork
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.generate.answer_styles import AnswerStyle, DirectAnswer, InstanceAnswer
from schemas import ids
from schemas.errors import ConfigurationError, RunError
from schemas.events import CallStarted, InstructionAnswered
from schemas.policy import policy_for
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_judge_scoring import Rows, Scripted, kept

POLICY = policy_for(answer="kept")
SAYS: Callable[[CallPlace], str | CallFailure] = lambda at: f"Answer {at.number}."  # noqa: E731


def request(text: str) -> Request:
    return Request(prompt=text)


ALL = ClusterShare()
DIRECT = DirectAnswer(request, {"answer_max_tokens": 96})
INSTANCE = InstanceAnswer(request, lambda text, is_classification: request(f"{text} {is_classification}"), {})


class Unanswered(Rows):
    """Kept rows without outputs; `written`: places of rows that have theirs."""

    def __init__(self, count: int, written: tuple[int, ...] = ()) -> None:
        super().__init__(count)
        self._left = [
            row if place in written else msgspec.structs.replace(row, output="") for place, row in enumerate(self._left)
        ]


def answering(
    log: MemoryLog,
    backend: Scripted,
    rows: int,
    *,
    style: AnswerStyle = DIRECT,
    share: ClusterShare = ALL,
    written: tuple[int, ...] = (),
) -> OrderedWork:
    progress = AnswerProgress(f"answer/{share}", configured())
    log.refresh(progress)
    caller = Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=lambda: log.refresh(progress),
        may_call=lambda _, __: None,
        prices=Prices(1.0, 2.0),
        retries=Retries(attempts=2, first_pause_s=0.0),
        rate=RateControl(RateOptions(), 4),
        known=progress,
    )
    queue = AnswerQueue(
        cast(KeptRows, Unanswered(rows, written)), share, RowAnswerer(POLICY, style, backend), until_end=True
    )
    return OrderedWork(queue, caller, progress, in_flight=4)


def answered(log: MemoryLog, backend: Scripted, rows: int, **how: object) -> list[InstructionAnswered]:
    asyncio.run(answering(log, backend, rows, **how).run(backend))  # type: ignore[arg-type]
    return log.events(InstructionAnswered)


def without_answered(log: MemoryLog) -> MemoryLog:
    """The log of an answerer that died before it wrote a row."""
    left = MemoryLog()
    for record in log.records:
        if (
            record.event is not None
            and record.decoded is not None
            and not isinstance(record.event, InstructionAnswered)
        ):
            meta = record.decoded.meta
            left.send(record.event, key=record.decoded.key, id=record.id, causation_id=meta.causation_id)
    return left


def test_rows_are_written_in_order_each_in_its_cluster_with_what_caused_it() -> None:
    log = MemoryLog()
    found = answered(log, Scripted(SAYS), 20)
    assert [event.row.id for event in found] == [kept(number).id for number in range(20)]
    assert [event.row.output for event in found] == [f"Answer {number}." for number in range(20)]
    records = [record for record in log.records if isinstance(record.event, InstructionAnswered)]
    assert [record.partition for record in records] == [kept(number).cluster for number in range(20)]
    own = ids.answered_id(kept(0).id)
    assert records[0].id == own and records[0].decoded is not None
    assert records[0].decoded.meta.causation_id == ids.child(ids.request_id(own, 0), "answered/1")
    assert {event.lane for event in log.events(CallStarted)} == {"answer/1-of-1"}
    assert found[0].cost_usd == pytest.approx(110e-6) and found[0].parameters == {"answer_max_tokens": 96}


def test_a_row_with_its_output_takes_no_call() -> None:
    backend = Scripted(SAYS)
    found = answered(MemoryLog(), backend, 4, written=(1, 2))
    assert len(backend.asked) == 2
    assert [(event.style, event.row.output, event.cost_usd) for event in found[1:3]] == [
        ("", "Thing 1", 0.0),
        ("", "Thing 2", 0.0),
    ]


def test_a_classification_is_asked_about_first_and_its_instance_then() -> None:
    backend = Scripted(lambda at: "Yes." if at.step == 0 else "Class label: odd\nInput: Three\n")
    (event,) = answered(MemoryLog(), backend, 1, style=INSTANCE)
    assert [asked.prompt for _, asked in backend.asked] == ["Name thing 0", "Name thing 0 True"]
    assert (event.row.input, event.row.output, len(event.answers)) == ("Three", "odd", 2)


def test_a_refused_row_is_written_with_its_reason_and_the_others_go_on() -> None:
    def says(at: CallPlace) -> str | CallFailure:
        return RequestRefused("no", status=400) if at.number == 2 else "Fine."

    found = answered(MemoryLog(), Scripted(says), 5)
    assert [event.reason for event in found] == [None, None, "refused", None, None]
    assert found[2].row.output == "" and found[2].unparsed[-1].text.startswith("no")


def test_an_endpoint_that_refuses_everything_ends_it_and_the_rows_stay_to_be_answered() -> None:
    log = MemoryLog()
    with pytest.raises(EndpointRefused):
        answered(log, Scripted(lambda at: EndpointRefused("key", status=401)), 5)
    assert log.events(InstructionAnswered) == []
    assert len(answered(log, Scripted(SAYS), 5)) == 5


@pytest.mark.parametrize("shares", [[ClusterShare()], [ClusterShare(1, 2), ClusterShare(2, 2)]])
def test_after_a_death_nothing_is_asked_twice_however_the_clusters_are_shared_then(shares: list[ClusterShare]) -> None:
    whole, nobody = MemoryLog(), Scripted(SAYS)
    expected = answered(whole, Scripted(SAYS), 9)
    log = without_answered(whole)
    for share in shares:
        answered(log, nobody, 9, share=share)
    assert not nobody.asked
    assert sorted(log.events(InstructionAnswered), key=lambda event: event.row.generated_offset) == expected


def test_a_share_is_every_other_cluster_and_has_its_own_lane() -> None:
    log = MemoryLog()
    found = answered(log, Scripted(SAYS), 8, share=ClusterShare(2, 2))
    assert [event.row.cluster for event in found] == [1] * 4
    assert {event.lane for event in log.events(CallStarted)} == {"answer/2-of-2"}
    with pytest.raises(ConfigurationError, match="3/2"):
        ClusterShare(3, 2)


def test_another_answerer_at_work_on_the_same_rows_is_found_out() -> None:
    log, first = MemoryLog(), Scripted(SAYS)
    work = answering(log, first, 4)
    other = MemoryLog()
    answered(other, Scripted(SAYS), 4, share=ClusterShare(1, 2))
    for record in other.records:  # it began its calls since `work` has read the log
        if isinstance(record.event, CallStarted):
            log.send(record.event, key=record.event.request_id, id=record.id)
    with pytest.raises(RunError, match="also written by another process"):
        asyncio.run(work.run(first))


def test_an_answer_larger_than_a_record_is_left_on_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.answer.rows.larger_than_a_record", lambda event: "9 MB" if event.answers else "")
    (event,) = answered(MemoryLog(), Scripted(SAYS), 1)
    assert (event.reason, event.row, event.answers) == ("too_large", Unanswered(1).take(1)[0], ())
