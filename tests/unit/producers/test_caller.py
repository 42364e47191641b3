"""Every attempt at a call is on the ledger before it is made, and its outcome right after."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from infra.log.record import Record
from infra.log.writer import LogWriter, NotWritable
from producers.backends.base import (
    Answer,
    CallFailure,
    CallPlace,
    EndpointRefused,
    FailureKind,
    Message,
    Request,
    RequestRefused,
    Scoring,
    Transient,
)
from producers.calls.caller import CallCause, Caller, CallsHalted
from producers.calls.cost import PlannedCall, Prices
from producers.calls.limits import Limits
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.errors import RunError
from schemas.events import CallAnswered, CallFailed, CallStarted, Event, Instruction, Usage
from tests.unit.producers.memory_log import MemoryLog, configured

GENERATION = ids.generation_id("main", 0)
CAUSE = CallCause("main", 0, GENERATION, ids.run_id("r"))
REQUEST = Request(messages=(Message("user", "Hello?"),))
ID = ids.request_id(GENERATION, 0)
HI = Answer("Hi.", "stop", Usage(prompt_tokens=7, completion_tokens=3), "tiny-1", 0.1)
QUICK = Retries(attempts=3, first_pause_s=0.0, longest_pause_s=0.0)


class Scripted:
    """A backend with scripted outcomes, which notes what was on the log at each call."""

    name = "scripted"
    model = "tiny"

    def __init__(self, log: MemoryLog, *outcomes: Answer | CallFailure | Callable[[], Awaitable[Answer]]) -> None:
        self.log = log
        self.outcomes = list(outcomes)
        self.seen: list[list[str]] = []

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        self.seen.append([type(record.event).__name__ for record in self.log.records])
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, CallFailure):
            raise outcome
        return outcome if isinstance(outcome, Answer) else await outcome()

    async def close(self) -> None:
        """Nothing is open."""


def caller(
    log: MemoryLog,
    backend: Scripted,
    *,
    retries: Retries = QUICK,
    may_call: Callable[[LaneProgress, PlannedCall], str | None] = lambda _, __: None,
    prices: Prices | None = None,
    rate: RateControl | None = None,
) -> Caller:
    progress = log.refresh(LaneProgress("main", configured()))
    return Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=lambda: log.refresh(progress),
        may_call=may_call,
        prices=prices or Prices(),
        retries=retries,
        rate=rate or RateControl(RateOptions(), 4),
        known=progress,
        rng=random.Random(1),
    )


def ask(made: Caller) -> CallAnswered:
    return asyncio.run(made.ask(CAUSE, 0, REQUEST))


def test_the_start_is_on_the_log_before_the_call_and_the_answer_after_it() -> None:
    log = MemoryLog()
    backend = Scripted(log, HI)
    answered = ask(caller(log, backend, prices=Prices(1.0, 2.0)))
    assert backend.seen == [["CallStarted"]]
    assert log.events(CallAnswered) == [answered]
    assert (answered.raw, answered.attempt, answered.cost_usd) == ("Hi.", 1, 13e-6)
    started, ended = (record.decoded.meta for record in log.records if record.decoded)
    assert (started.id, started.causation_id) == (ids.child(ID, "started/1"), ids.run_id("r"))
    assert (ended.id, ended.causation_id) == (ids.child(ID, "answered/1"), started.id)


@pytest.mark.parametrize("prices", [Prices(), Prices(1.0, None), Prices(None, 1.0)])
def test_the_cost_is_unknown_without_both_prices(prices: Prices) -> None:
    log = MemoryLog()
    assert ask(caller(log, Scripted(log, HI), prices=prices)).cost_usd is None


def test_the_cost_is_unknown_without_usage() -> None:
    log = MemoryLog()
    unsaid = Answer("Hi.", None, None, "tiny-1", 0.1)
    assert ask(caller(log, Scripted(log, unsaid), prices=Prices(1.0, 1.0))).cost_usd is None


def test_a_transient_failure_is_asked_again_and_each_attempt_is_on_the_log() -> None:
    log = MemoryLog()
    answered = ask(caller(log, Scripted(log, Transient("busy", status=429), Transient("slow"), HI)))
    assert answered.attempt == 3
    assert [event.attempt for event in log.events(CallStarted)] == [1, 2, 3]
    assert [(event.attempt, event.status, event.retry) for event in log.events(CallFailed)] == [
        (1, 429, True),
        (2, None, True),
    ]


def test_a_request_that_keeps_failing_is_given_up() -> None:
    log = MemoryLog()
    with pytest.raises(Transient, match="attempt 3 in a row") as caught:
        ask(caller(log, Scripted(log, *[Transient("busy", status=503)] * 3)))
    assert caught.value.status == 503
    assert [event.retry for event in log.events(CallFailed)] == [True, True, False]


@pytest.mark.parametrize("failure", [RequestRefused("no", status=400), EndpointRefused("no", status=401)])
def test_a_refusal_is_not_asked_again(failure: CallFailure) -> None:
    log = MemoryLog()
    with pytest.raises(type(failure)):
        ask(caller(log, Scripted(log, failure)))
    assert [(event.status, event.retry) for event in log.events(CallFailed)] == [(failure.status, False)]


def test_an_endpoint_that_asks_to_wait_too_long_is_not_waited_for() -> None:
    log = MemoryLog()
    with pytest.raises(EndpointRefused, match="asks to wait 4000 s"):
        ask(caller(log, Scripted(log, Transient("busy", status=429, retry_after_s=4000.0))))


def test_pauses_grow_are_jittered_and_never_shorter_than_asked_for() -> None:
    retries, down = Retries(first_pause_s=1.0, longest_pause_s=10.0), Transient("down", status=503)
    for failures, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (5000, 10.0)):
        pauses = [retries.pause(failures, down, random.Random(seed)) for seed in range(50)]
        assert all(0.0 <= pause <= longest for pause in pauses)
        assert min(pauses) < longest / 4 < 3 * longest / 4 < max(pauses), "the jitter is full"
        assert pauses[7] == retries.pause(failures, down, random.Random(7))
    assert retries.pause(1, Transient("busy", status=429, retry_after_s=60.0), random.Random(1)) == 60.0


def test_what_kept_a_request_from_being_answered_decides_how_soon_it_is_asked_again() -> None:
    retries = Retries(first_pause_s=1.0)

    def pause(failure: Transient) -> float:
        return retries.pause(3, failure, random.Random(5))

    fault, busy = Transient("fault", status=500), Transient("busy", status=429)
    garbled, slow = Transient("garbled", kind=FailureKind.GARBLED), Transient("slow", kind=FailureKind.TIME_OUT)
    assert pause(garbled) < pause(fault) == pause(slow) < pause(busy)


def test_an_answer_on_the_ledger_is_not_paid_again() -> None:
    log = MemoryLog()
    first = ask(caller(log, Scripted(log, HI)))
    second = Scripted(log)
    assert ask(caller(log, second)) == first
    assert second.seen == []


def test_a_call_that_a_dead_generator_started_gets_the_next_attempt() -> None:
    log = MemoryLog()

    async def never() -> Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(caller(log, Scripted(log, never)))
    assert ask(caller(log, Scripted(log, HI))).attempt == 2


def test_at_a_limit_no_call_is_made() -> None:
    log = MemoryLog()
    made = caller(log, Scripted(log), may_call=lambda progress, _: f"{progress.ledger.started} calls")
    with pytest.raises(CallsHalted, match="0 calls"):
        ask(made)
    assert (made.halted, log.records) == ("0 calls", [])


def test_a_pause_ends_when_the_generator_is_stopped() -> None:
    log = MemoryLog()
    made = caller(
        log, Scripted(log, Transient("busy", status=503)), retries=Retries(first_pause_s=3600.0, longest_pause_s=3600.0)
    )

    async def stopped() -> None:
        asking = asyncio.create_task(made.ask(CAUSE, 0, REQUEST))
        while not log.events(CallFailed):
            await asyncio.sleep(0.001)
        made.halt("stopped")
        await asking

    with pytest.raises(CallsHalted, match="stopped"):
        asyncio.run(stopped())


def test_a_call_that_is_cancelled_is_on_the_ledger_without_an_outcome() -> None:
    log = MemoryLog()

    async def forever() -> Answer:
        await asyncio.sleep(3600)
        return HI

    async def cancelled() -> None:
        asking = asyncio.create_task(caller(log, Scripted(log, forever)).ask(CAUSE, 0, REQUEST))
        while not log.records:
            await asyncio.sleep(0.001)
        asking.cancel()
        await asking

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    progress = log.refresh(LaneProgress("main", configured()))
    assert (progress.ledger.started, progress.ledger.open) == (1, 1)


def test_another_generator_on_the_lane_is_noticed() -> None:
    log = MemoryLog()
    mine, other = caller(log, Scripted(log)), caller(log, Scripted(log, HI))
    ask(other)
    with pytest.raises(RunError, match="also written by another process"):
        ask(mine)


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    log = MemoryLog()
    flying, most = 0, 0

    async def slow() -> Answer:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.01)
        flying -= 1
        return HI

    async def many() -> None:
        made = caller(log, Scripted(log, *[slow] * 12))
        await asyncio.gather(*(made.ask(CAUSE, step, REQUEST) for step in range(12)))

    asyncio.run(many())
    assert most == 4
    assert len(log.events(CallAnswered)) == 12


def test_those_that_may_begin_in_one_moment_start_in_one_round_and_the_oldest_generation_goes_first() -> None:
    log = MemoryLog()
    checks = 0

    def may_call(_: LaneProgress, __: PlannedCall) -> None:
        nonlocal checks
        checks += 1

    backend = Scripted(log, *[HI] * 8)

    async def many() -> None:
        made = caller(log, backend, may_call=may_call)
        causes = [CallCause("main", number, ids.generation_id("main", number), ids.run_id("r")) for number in range(8)]
        await asyncio.gather(*(made.ask(cause, 0, REQUEST) for cause in reversed(causes)))

    asyncio.run(many())
    assert [event.number for event in log.events(CallStarted)] == list(range(8))
    assert backend.seen[0] == ["CallStarted"] * 4, "four starts were written before the first call was made"
    assert checks == 8


def test_a_call_that_does_not_fit_waits_for_those_under_way_and_then_ends_it() -> None:
    log = MemoryLog()

    def may_call(_: LaneProgress, planned: PlannedCall) -> str | None:
        return (
            "no room"
            if planned.in_flight or planned.starting
            else None
            if len(log.events(CallAnswered)) < 2
            else "spent"
        )

    async def many() -> list[CallAnswered | BaseException]:
        made = caller(log, Scripted(log, HI, HI), may_call=may_call)
        return await asyncio.gather(*(made.ask(CAUSE, step, REQUEST) for step in range(3)), return_exceptions=True)

    *answered, refused = asyncio.run(many())
    assert [type(one) for one in answered] == [CallAnswered] * 2
    assert isinstance(refused, CallsHalted)
    assert str(refused) == "spent"
    kinds = [type(record.event).__name__ for record in log.records]
    assert kinds == ["CallStarted", "CallAnswered"] * 2, "one at a time, and none was given up"


def test_the_last_call_of_a_budget_is_made_for_what_failed_though_an_older_generation_waits() -> None:
    log = MemoryLog()
    old, new = (CallCause("main", number, ids.generation_id("main", number), ids.run_id("r")) for number in (0, 5))

    # The newer one starts alone; the older one is requested while it is in flight.
    async def newer_first() -> list[CallAnswered | BaseException]:
        backend = Scripted(log, Transient("busy", status=503), HI)
        made = caller(log, backend, may_call=Limits(max_calls=2).may_call, rate=RateControl(RateOptions(), 1))
        first = asyncio.create_task(made.ask(new, 0, REQUEST))
        while not log.events(CallStarted):
            await asyncio.sleep(0)
        return await asyncio.gather(first, made.ask(old, 0, REQUEST), return_exceptions=True)

    answered, refused = asyncio.run(newer_first())
    assert isinstance(answered, CallAnswered)
    assert answered.attempt == 2
    assert isinstance(refused, CallsHalted)


def test_what_a_dead_generator_was_to_attempt_again_gets_the_call_that_is_kept_for_it() -> None:
    log = MemoryLog()
    first = caller(log, Scripted(log, Transient("busy", status=503)), retries=Retries(first_pause_s=3600.0))

    async def halted() -> None:
        asking = asyncio.create_task(first.ask(CAUSE, 0, REQUEST))
        while not log.events(CallFailed):
            await asyncio.sleep(0.001)
        first.halt("stopped")
        with pytest.raises(CallsHalted):
            await asking

    asyncio.run(halted())
    assert ask(caller(log, Scripted(log, HI), may_call=Limits(max_calls=2).may_call)).attempt == 2


def test_what_is_paid_for_is_given_even_when_no_call_is_made_any_more() -> None:
    log = MemoryLog()
    paid = ask(caller(log, Scripted(log, HI)))
    made = caller(log, Scripted(log))
    made.halt("stopped")
    assert ask(made) == paid


def test_for_ever_an_endpoint_that_is_down_is_waited_for() -> None:
    log = MemoryLog()
    down = [Transient("down", status=503, retry_after_s=0.001)] * 40
    rate = RateControl(RateOptions(breaker_failures=3, breaker_first_s=0.0001, breaker_longest_s=0.001), 4)
    retries = Retries(attempts=3, first_pause_s=0.0, longest_pause_s=0.0, longest_asked_s=0.0, forever=True)
    answered = ask(caller(log, Scripted(log, *down, HI), retries=retries, rate=rate))
    assert answered.attempt == 41


def test_for_ever_a_request_that_fails_while_others_are_answered_is_given_up() -> None:
    log = MemoryLog()

    class Poisoned(Scripted):
        async def complete(self, request: Request, place: CallPlace) -> Answer:
            if place.step == 0:
                raise Transient("it chokes on this one", status=500)
            return HI

    async def both() -> list[CallAnswered | BaseException]:
        retries = Retries(attempts=3, first_pause_s=0.0, longest_pause_s=0.0, forever=True)
        made = caller(log, Poisoned(log), retries=retries)
        return await asyncio.gather(*(made.ask(CAUSE, step, REQUEST) for step in (0, 1)), return_exceptions=True)

    poisoned, other = asyncio.run(both())
    assert isinstance(poisoned, RequestRefused)
    assert "others" in str(poisoned) or "other requests were answered" in str(poisoned)
    assert isinstance(other, CallAnswered)
    assert [event.retry for event in log.events(CallFailed)] == [True, True, False]


def test_an_endpoint_that_stays_down_ends_it_although_many_requests_share_the_failures() -> None:
    """At the next start too: an outage costs no generation."""
    log = MemoryLog()

    async def many() -> list[CallAnswered | BaseException]:
        rate = RateControl(RateOptions(breaker_failures=4, breaker_first_s=0.0001, breaker_longest_s=0.001), 4)
        retries = Retries(attempts=5, first_pause_s=0.0, longest_pause_s=0.0)
        made = caller(log, Scripted(log, *[Transient("down", status=503)] * 100), retries=retries, rate=rate)
        asked = [asyncio.create_task(made.ask(CAUSE, step, REQUEST)) for step in range(8)]
        done, left = await asyncio.wait(asked, return_when=asyncio.FIRST_EXCEPTION)
        made.halt("an error")
        return [*(task.exception() for task in done), *await asyncio.gather(*left, return_exceptions=True)]  # type: ignore[list-item]

    for start in (1, 2):
        first, *_ = asyncio.run(many())
        assert type(first) is Transient
        assert len(log.events(CallStarted)) <= 14 * start, "not five for each of eight"


def test_a_broken_cluster_is_told_to_all_who_wait() -> None:
    log = MemoryLog()
    made = caller(log, Scripted(log))

    def broken() -> LaneProgress:
        raise RunError("the cluster is gone")

    made._scheduler._refresh = broken

    async def many() -> list[CallAnswered | BaseException]:
        return await asyncio.gather(*(made.ask(CAUSE, step, REQUEST) for step in range(9)), return_exceptions=True)

    assert {str(error) for error in asyncio.run(many())} == {"the cluster is gone"}


def test_an_answer_that_is_too_large_is_refused_with_its_usage_and_never_stored() -> None:
    log = MemoryLog()
    large = replace(HI, raw="é" * 600_000)
    with pytest.raises(RequestRefused, match="1,200,000 bytes, and 1,048,576 may be stored") as caught:
        ask(caller(log, Scripted(log, large), prices=Prices(1.0, 2.0)))
    assert caught.value.reason == "too_large"
    (failed,) = log.events(CallFailed)
    assert (failed.usage, failed.cost_usd, failed.perhaps_paid, failed.retry) == (HI.usage, 13e-6, False, False)
    assert log.events(CallAnswered) == []


def test_an_answer_that_the_cluster_does_not_take_is_refused_with_its_usage() -> None:
    class Small(MemoryLog):
        def send(self, event: Event, **recorded: Any) -> Record:
            if isinstance(event, CallAnswered):
                raise NotWritable("too large")
            return super().send(event, **recorded)

    log = Small()
    with pytest.raises(RequestRefused, match="SEDI_MAX_ANSWER_BYTES"):
        ask(caller(log, Scripted(log, HI)))
    assert [failed.usage for failed in log.events(CallFailed)] == [HI.usage]


def test_what_a_failed_attempt_took_is_on_the_ledger_and_what_it_may_have_taken_is_unknown() -> None:
    log = MemoryLog()
    outcomes = (
        Transient("no text", kind=FailureKind.GARBLED, usage=HI.usage),
        Transient("slow", kind=FailureKind.TIME_OUT, perhaps_paid=True),
        HI,
    )
    ask(caller(log, Scripted(log, *outcomes), prices=Prices(1.0, 2.0)))
    recorded = [(event.usage, event.cost_usd, event.perhaps_paid) for event in log.events(CallFailed)]
    assert recorded == [(HI.usage, 13e-6, False), (None, None, True)]
    ledger = log.refresh(LaneProgress("main", configured())).ledger
    assert (ledger.known_tokens, ledger.tokens) == (20, None), "what a time-out took is not known"
    assert (ledger.known_cost_usd, ledger.cost_usd) == (26e-6, None)


def test_a_request_whose_answers_are_paid_for_and_unreadable_is_given_up_alone() -> None:
    log = MemoryLog()
    garbled = [Transient("no text", kind=FailureKind.GARBLED, usage=HI.usage)] * 3
    with pytest.raises(RequestRefused, match="nothing could be read"):
        ask(caller(log, Scripted(log, *garbled)))


@pytest.mark.parametrize(("status", "kind"), [(500, RequestRefused), (429, Transient)])
def test_a_request_that_keeps_failing_while_others_are_answered_is_given_up_alone(
    status: int, kind: type[CallFailure]
) -> None:
    failure = Transient("no", status=status)
    final = QUICK.final(failure, 3, others_answered=True)
    assert type(final) is kind
    assert type(QUICK.final(failure, 3)) is Transient


@pytest.mark.parametrize(("status", "kind"), [(500, RequestRefused), (429, Transient), (None, Transient)])
def test_a_request_that_used_up_its_attempts_in_two_starts_is_given_up_alone(
    status: int | None, kind: type[CallFailure]
) -> None:
    """Else a lane that asks one call at a time would end at it, however often it is started again."""
    log, failure = MemoryLog(), Transient("no", status=status)
    with pytest.raises(Transient):
        ask(caller(log, Scripted(log, *[failure] * 3)))
    with pytest.raises(kind) as second:
        ask(caller(log, Scripted(log, *[failure] * 3)))
    assert type(second.value) is kind
    if kind is RequestRefused:
        assert "after 3 in earlier starts of the generator" in str(second.value)


class Second(Scripted):
    """A backend at an endpoint, which also scores."""

    local = False

    def __init__(self, log: MemoryLog, *outcomes: Answer | CallFailure, account: tuple[str, str]) -> None:
        super().__init__(log, *outcomes)
        self.account = account

    def most_usage(self, scoring: Scoring) -> None:
        return None


HERE, OTHER_KEY = ("http://here/v1", "k"), ("http://here/v1", "l")
SCORING = Request(scoring=Scoring("text", (Instruction(instruction="Ask."),)))


def test_answers_of_the_scorer_do_not_make_a_failing_endpoint_a_bad_request() -> None:
    """Else generations are written empty while no candidate is answered at all."""
    log = MemoryLog()
    scorer = Second(log, *[HI] * 9, account=HERE)
    made = caller(log, Scripted(log, *[Transient("no", status=500)] * 3))

    async def failing() -> CallAnswered:
        asking = asyncio.create_task(made.ask(CAUSE, 0, REQUEST))
        for step in range(1, 5):
            await made.ask(CAUSE, step, SCORING, scorer)
        return await asking

    with pytest.raises(Transient, match="attempt 3 in a row") as caught:
        asyncio.run(failing())
    assert type(caught.value) is Transient
    assert len(log.events(CallAnswered)) == 4


@pytest.mark.parametrize(("account", "waits"), [(HERE, True), (OTHER_KEY, False)])
def test_limits_of_an_endpoint_hold_for_generator_and_scorer_together(account: tuple[str, str], waits: bool) -> None:
    log = MemoryLog()
    own, scorer = Second(log, *[HI] * 9, account=HERE), Second(log, *[HI] * 9, account=account)
    made = caller(log, own, rate=RateControl(RateOptions(rpm=60.0), 4))

    async def in_turn() -> float:
        started = asyncio.get_running_loop().time()
        await made.ask(CAUSE, 0, REQUEST)
        await made.ask(CAUSE, 1, SCORING, scorer)
        return asyncio.get_running_loop().time() - started

    assert (asyncio.run(in_turn()) > 0.8) is waits, "the bucket holds one call a second"
