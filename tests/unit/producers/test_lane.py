"""A lane stops close to its target; generations left unfinished by a budget are finished by a larger one."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.backends.base import Answer, CallFailure, CallPlace, Request, RequestRefused, Transient
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.limits import Limits
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.documents.segment_source import SegmentSource
from producers.documents.segment_subjects import SegmentSubjects
from producers.documents.style import DocumentStyle
from producers.generate.backpressure import Backpressure
from producers.generate.lane import Lane
from producers.generate.lane_parts import LaneOptions, LaneServices
from producers.generate.progress import LaneProgress
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import StallGuard
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.subjects import SeedSubjects
from schemas import ids
from schemas.events import CallAnswered, CallStarted, InstructionsGenerated, InstructionsRejected, RunConfigured, Usage
from tests.unit.producers.memory_log import MemoryLog, configured

TASKS = 17  # of an answer


def answered(number: int) -> Answer:
    raw = "".join(
        f"{place}. Instruction: Do {number}/{place}.\n{place}. Input: <noinput>\n{place}. Output: Done.\n###\n"
        for place in range(4, 4 + TASKS)
    )
    return Answer(raw, "stop", Usage(prompt_tokens=10, completion_tokens=10), "tiny-1", 0.1)


class Faulty:
    """A backend that fails at some attempts."""

    name, model = "faulty", "tiny"

    def __init__(
        self,
        fails: Callable[[CallPlace], bool] = lambda _: False,
        failure: CallFailure | None = None,
        instead: Callable[[CallPlace], Answer | None] = lambda _: None,
    ) -> None:
        self.fails, self.failure, self.instead = fails, failure or Transient("busy", status=503), instead

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        await asyncio.sleep(0)
        if self.fails(place):
            raise self.failure
        return self.instead(place) or answered(place.number)

    async def close(self) -> None:
        """Nothing is open."""


class Filtered:
    """Reads a log in memory, on which a filter decides `behind` generations late, and keeps this share of each."""

    def __init__(self, log: MemoryLog, run: RunConfigured, behind: int, share: Callable[[int], float]) -> None:
        self.log, self.behind, self.share = log, behind, share
        self.progress = LaneProgress("main", run)
        self.decided, self.generated, self.kept, self.looks = -1, 0, 0, 0
        self.refresh()

    def refresh(self) -> LaneProgress:
        written = self.log.events(InstructionsGenerated)
        # A filter is late and not dead: by and by it decides on all.
        late = self.behind if len(written) > self.looks else 0
        self.looks = len(written)
        while self.decided < len(written) - 1 - late:
            self.decided += 1
            asked = len(written[self.decided].instructions)
            kept = round(asked * self.share(self.decided))
            self.generated, self.kept = self.generated + asked, self.kept + kept
            event = InstructionsRejected(
                generation_id="g",
                generated_offset=self.decided,
                rejections=(),
                generated=asked,
                kept=kept,
                generated_total=self.generated,
                kept_total=self.kept,
            )
            self.log.send(event, key="g", id=ids.verdict_id(self.decided))
        return self.log.refresh(self.progress)


def run_lane(
    log: MemoryLog,
    backend: Faulty,
    limits: Limits,
    *,
    reader: Filtered | None = None,
    in_flight: int = 8,
    max_answer_bytes: int = 1024 * 1024,
) -> tuple[Lane, Caller]:
    run = configured()
    reader = reader or Filtered(log, run, 0, lambda _: 1.0)
    caller = Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=reader.refresh,
        may_call=limits.may_call,
        prices=Prices(),
        retries=Retries(first_pause_s=0.0, longest_pause_s=0.0),
        rate=RateControl(RateOptions(), in_flight),
        known=reader.progress,
        max_answer_bytes=max_answer_bytes,
    )
    style = style_of(StyleInUse(), Settings(backend="openai", model="tiny", api="chat"))
    services = LaneServices(
        subjects=SeedSubjects(style, caller),
        reader=cast(ProgressReader, reader),
        caller=caller,
        backend=backend,
        backpressure=Backpressure(lambda _: None),
    )
    lane = Lane(LaneOptions(run.run, "main", in_flight, limits, StallGuard()), services)
    asyncio.run(lane.run())
    return lane, caller


def numbers(log: MemoryLog) -> list[int]:
    return [event.number for event in log.events(InstructionsGenerated)]


def test_with_a_filter_far_behind_the_target_is_exceeded_by_less_than_a_generation() -> None:
    for share in (1.0, 0.4):
        log = MemoryLog()
        reader = Filtered(log, configured(), behind=30, share=lambda _, share=share: share)
        _, caller = run_lane(log, Faulty(), Limits(max_kept=1000), reader=reader)
        assert "--max-kept 1000" in str(caller.halted)
        reader.behind = 0
        assert 1000 <= reader.refresh().kept_total < 1000 + TASKS


def test_a_yield_that_rises_at_the_end_exceeds_the_target_by_no_more_than_it_rose() -> None:
    log = MemoryLog()
    reader = Filtered(log, configured(), behind=30, share=lambda number: 0.5 if number < 100 else 1.0)
    run_lane(log, Faulty(), Limits(max_kept=1000), reader=reader)
    reader.behind = 0
    assert 1000 <= reader.refresh().kept_total < 1000 + TASKS + 0.5 * TASKS * (30 + 8)


def test_a_target_below_what_one_generation_writes_begins_one_alone() -> None:
    log = MemoryLog()
    run_lane(log, Faulty(), Limits(max_kept=5))
    assert numbers(log) == [0]


def test_a_generation_of_another_lane_that_is_never_written_does_not_hold_up_the_target_for_ever() -> None:
    log = MemoryLog()
    for number in range(3):
        id = ids.generation_id("other", number)
        started = CallStarted(
            request_id=ids.request_id(id, 0),
            attempt=1,
            generation_id=id,
            lane="other",
            number=number,
            step=0,
            backend="b",
            model="m",
        )
        log.send(started, key=id, id=ids.child(id, "started/1"))
    written: dict[str, Any] = {"style": "alpaca", "parser": "strict", "backend": "b", "model": "m"}
    event = InstructionsGenerated(
        lane="other",
        number=0,
        parameters={},
        seed_ids=(),
        seed_commands_offset=-1,
        answers=(),
        instructions=(),
        unparsed=(),
        cost_usd=None,
        **written,
    )
    log.send(event, key="o", id=ids.generation_id("other", 0))
    _, caller = run_lane(log, Faulty(), Limits(max_kept=40))
    assert "--max-kept 40" in str(caller.halted)


def test_a_budget_that_ends_while_a_retry_is_due_makes_the_retry_before_anything_new() -> None:
    log = MemoryLog()
    failing = Faulty(lambda place: place.number == 3 and place.attempt < 3)
    _, caller = run_lane(log, failing, Limits(max_calls=8), in_flight=4)
    assert caller.started == 8
    assert numbers(log) == list(range(6)), "two of eight attempts failed, and no other generation was begun"


def test_a_budget_that_ends_leaves_generations_that_a_larger_one_finishes_first_and_no_budget_is_exceeded() -> None:
    log = MemoryLog()
    first, _ = run_lane(log, Faulty(lambda place: place.number == 0), Limits(max_calls=10), in_flight=4)
    unfinished = log.refresh(first.services.reader.progress).unfinished()
    assert numbers(log) == []
    paid = len(log.events(CallAnswered))
    assert len(log.events(CallStarted)) == 10
    assert 0 < paid < unfinished
    for budget in range(11, 14):
        run_lane(log, Faulty(), Limits(max_calls=budget), in_flight=4)
        assert len(log.events(CallStarted)) == budget
        if budget == 11:
            assert numbers(log) == list(range(unfinished)), "the one call that was left was the one that was due"
    assert numbers(log) == list(range(paid + 3))
    assert len({event.request_id for event in log.events(CallAnswered)}) == paid + 3


def reasons(log: MemoryLog) -> dict[int, str]:
    """Of the generations that were written empty."""
    generations = log.events(InstructionsGenerated)
    return {event.number: event.unparsed[0].reason for event in generations if not event.instructions}


def test_prompts_that_are_flagged_are_written_empty_with_their_reason_and_the_lane_goes_on() -> None:
    log = MemoryLog()
    flagged = RequestRefused("Your input was flagged", status=403, reason="flagged")
    run_lane(log, Faulty(lambda place: place.number in range(2, 12), flagged), Limits(max_generations=15), in_flight=1)
    assert numbers(log) == list(range(15))
    assert reasons(log) == dict.fromkeys(range(2, 12), "flagged")
    assert [event.attempt for event in log.events(CallStarted)] == [1] * 15
    run_lane(log, Faulty(), Limits(max_generations=16), in_flight=1)
    assert numbers(log) == list(range(16)), "a start after it asks nothing again"


def test_requests_that_are_refused_without_a_word_about_the_prompt_end_the_lane_and_a_start_goes_on() -> None:
    log = MemoryLog()
    refused = RequestRefused("bad parameter", status=400)
    with pytest.raises(RequestRefused):
        run_lane(log, Faulty(lambda _: True, refused), Limits(max_generations=9), in_flight=1)
    assert reasons(log) == dict.fromkeys(range(3), "refused")
    run_lane(log, Faulty(), Limits(max_generations=9), in_flight=1)
    assert numbers(log) == list(range(9))


def large(place: CallPlace, size: int) -> Answer | None:
    answer = answered(place.number)
    return replace(answer, raw=answer.raw + "word " * (size // 5)) if place.number == 1 else None


def test_an_answer_that_is_too_large_costs_its_generation_and_is_not_asked_for_again() -> None:
    log = MemoryLog()
    run_lane(log, Faulty(instead=lambda place: large(place, 4_600_000)), Limits(max_generations=4), in_flight=1)
    assert (numbers(log), reasons(log)) == ([0, 1, 2, 3], {1: "too_large"})
    assert len(log.events(CallStarted)) == 4
    ledger = log.refresh(LaneProgress("main", configured())).ledger
    assert (ledger.failed_paid, ledger.tokens) == (1, 80)


def test_an_answer_on_the_ledger_that_makes_too_large_a_generation_is_no_wall() -> None:
    log = MemoryLog()
    backend = Faulty(instead=lambda place: large(place, 4_600_000))
    run_lane(log, backend, Limits(max_generations=3), in_flight=1, max_answer_bytes=2**30)
    assert (numbers(log), reasons(log)) == ([0, 1, 2], {1: "too_large"})
    assert len(log.events(CallAnswered)) == 3


def test_a_scorer_is_closed_with_its_lane_and_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Any] = []

    class OpenScorer:
        async def close(self) -> None:
            closed.append(asyncio.get_running_loop())

    style = cast(DocumentStyle, SimpleNamespace(scorer=OpenScorer()))
    subjects = SegmentSubjects(style, cast(SegmentSource, None))
    monkeypatch.setattr(SeedSubjects, "close", lambda _: subjects.close())
    run_lane(MemoryLog(), Faulty(), Limits(max_generations=2))
    assert len(closed) == 1
    with pytest.raises(RequestRefused):
        run_lane(MemoryLog(), Faulty(lambda _: True, RequestRefused("bad", status=400)), Limits(max_generations=16))
    assert len(closed) == 2
