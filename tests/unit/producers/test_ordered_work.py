"""Items with places of their own keep them over restarts, and a call is paid for once whatever its lane is called."""

import asyncio
from dataclasses import dataclass
from typing import cast

from infra.log.writer import LogWriter
from producers.backends.base import Answer, CallPlace, Request
from producers.calls.caller import CallCause, Caller
from producers.calls.cost import Prices
from producers.calls.ordered_work import FinishedItem, OrderedWork
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.evaluation.item_list import ItemList
from producers.evaluation.progress import EvaluationProgress
from schemas import ids
from schemas.evaluation import AnswersJudged
from schemas.events import CallStarted, Judge, Scale
from streams.core.ledger import WINDOW, Ledger
from tests.unit.producers.memory_log import MemoryLog, configured

WHO = Judge(backend="scripted", model="tiny", rubric="pair", version=1)
CAUSE = ids.run_id("r")


class Placed:
    """Answers with the number of the call; notes the numbers."""

    name = "scripted"
    model = "tiny"

    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        self.numbers.append(place.number)
        await asyncio.sleep(0)
        return Answer(str(place.number), "stop", None, "tiny-1", 0.1)

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Reading:
    """One call, whose answer is the event's reason."""

    number: int
    causation_id: str = CAUSE

    @property
    def id(self) -> str:
        return ids.answers_judged_id(WHO.name, [str(self.number)])

    async def work(self, cause: CallCause, caller: Caller) -> FinishedItem:
        answer = await caller.ask(cause, 0, Request(prompt="?"))
        event = AnswersJudged(
            judge=WHO,
            scale=Scale(least=1.0, most=10.0, step=0.1),
            prompts="s",
            prompt_id=str(self.number),
            group="",
            answer_ids=("a", "b"),
            models=("m", "n"),
            scores=None,
            reason=answer.raw,
            answers=(answer,),
            cost_usd=None,
        )
        return FinishedItem(event, self.id, self.id, cause.causation_id)


def work(log: MemoryLog, backend: Placed, items: list[Reading], lane: str = "eval/pair/one", most: int = 10**9) -> int:
    """Work on the items until they are done or `most` calls are started; how often its end was reported."""
    progress = EvaluationProgress(lane, configured(), wanted=frozenset(item.id for item in items))
    log.refresh(progress)
    caller = Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=lambda: log.refresh(progress),
        may_call=lambda known, _: "enough" if known.ledger.started >= most else None,
        prices=Prices(),
        retries=Retries(attempts=2, first_pause_s=0.0),
        rate=RateControl(RateOptions(), 4),
        known=progress,
    )
    done: list[tuple[int, int]] = []
    queue = ItemList(items, progress.done, lambda *counts: done.append(counts))
    asyncio.run(
        OrderedWork(queue, caller, progress, in_flight=4, on_written=queue.written).run(backend)  # type: ignore[arg-type]
    )
    assert done == [(len(items) - len(done) + 1 + at, len(items)) for at in range(len(done))] or most < 10**9
    return len(done)


def reasons(log: MemoryLog) -> list[str]:
    return [event.reason for event in log.events(AnswersJudged)]


def test_items_that_are_left_keep_their_places_over_any_number_of_starts() -> None:
    items = [Reading(number) for number in range(3 * WINDOW) if number % 2]
    whole = MemoryLog()
    work(whole, Placed(), items)
    log, numbers = MemoryLog(), []
    for most in (7, 500, 501, 10**9):
        backend = Placed()
        work(log, backend, items, most=most)
        numbers += backend.numbers
    assert reasons(log) == reasons(whole) == [str(item.number) for item in items]
    assert sorted(numbers) == [item.number for item in items], "each is asked once"
    ledger = Ledger()
    for record in log.records:
        assert record.event is not None
        ledger.apply(record.event, record.id)
    assert (ledger.started, ledger.answered, ledger.duplicates) == (len(items), len(items), 0)
    assert work(log, Placed(), items) == 0


def test_an_answer_that_was_paid_for_under_another_lane_is_not_asked_for_again() -> None:
    first, items = MemoryLog(), [Reading(number) for number in range(6)]
    work(first, Placed(), items[:4])
    log = MemoryLog()
    for record in first.records:
        if not isinstance(record.event, AnswersJudged):
            assert record.decoded is not None
            log.send(record.decoded.event, key=record.decoded.key, id=record.id)
    second = Placed()
    work(log, second, items, lane="eval/pair/more")
    assert sorted(second.numbers) == [4, 5]
    assert reasons(log) == [str(number) for number in range(6)]
    assert {event.lane for event in log.events(CallStarted)} == {"eval/pair/one", "eval/pair/more"}
