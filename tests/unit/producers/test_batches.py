"""Calls in batches: every request is answered once and paid for once, whatever the endpoint does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from infra.log.writer import LogWriter
from producers.backends.base import Sampling
from producers.backends.batch.options import BatchOptions
from producers.backends.openai import OpenAIBackend
from producers.calls.batching import batch_rate
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.kept_rows import KeptRows
from producers.calls.limits import Limits
from producers.calls.retries import Retries
from producers.judge.progress import JudgeProgress
from producers.judge.scoring import JudgeWorker, RowJudge, RowQueue, RowSample
from producers.prompts.judge import RUBRICS
from schemas.batches import BatchEnded, BatchPrepared, BatchSubmitted, BatchUploaded
from schemas.errors import BackendError, RunError
from schemas.events import CallAnswered, CallFailed, CallStarted, InstructionJudged, Judge
from tests.conformance.batch_server import BatchBooks, Fate, batch_server
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_judge_scoring import LANE, WHO, Rows

QUICK = BatchOptions(size=4, linger_s=0.05, poll_s=0.01, settle_s=0.05)
PRICES = Prices(1.0, 2.0, batch=Prices(0.5, 1.0)).in_batches


@dataclass
class Judging:
    """A judge of rows at a server with batches, which can be started again and again over one log."""

    url: str
    books: BatchBooks
    log: MemoryLog = field(default_factory=MemoryLog)
    news: list[str] = field(default_factory=list)

    def worker(self, rows: int, options: BatchOptions | None = QUICK, **how: Any) -> JudgeWorker:
        progress = JudgeProgress(LANE, configured(), judge=WHO.name)
        self.log.refresh(progress)
        limits: Limits = how.pop("limits", Limits())
        caller = Caller(
            backend=OpenAIBackend(model="tiny", base_url=self.url, api_key="sk-secret", timeout_s=5.0),
            writer=cast(LogWriter, self.log),
            refresh=lambda: self.log.refresh(progress),
            may_call=limits.may_call,
            prices=PRICES,
            retries=how.pop("retries", Retries(attempts=3, first_pause_s=0.0)),
            rate=batch_rate(self.news.append),
            known=progress,
            batch=options,
            notify=self.news.append,
        )
        judge = Judge(backend="openai", model="tiny", rubric="accuracy", version=1)
        row_judge = RowJudge(judge, RUBRICS["accuracy"], completion=False, sampling=Sampling(), attempts=1)
        queue = RowQueue(cast(KeptRows, Rows(rows)), row_judge, RowSample(), until_end=True)
        return JudgeWorker(queue, caller, progress, in_flight=64)

    def judge(self, rows: int, options: BatchOptions | None = QUICK, **how: Any) -> JudgeProgress:
        async def work() -> JudgeWorker:
            worker = self.worker(rows, options, **how)
            await worker.run(worker.caller.backend)
            return worker

        asyncio.run(work())
        progress = JudgeProgress(LANE, configured(), judge=WHO.name)
        self.log.refresh(progress)
        return progress

    def abandoned(self, rows: int, after: type, count: int = 1, options: BatchOptions = QUICK) -> None:
        """A start that ends as by a kill, once so many events of a type are on the log."""

        async def work() -> None:
            worker = self.worker(rows, options)
            task = asyncio.create_task(worker.run(worker.caller.backend))
            while len(self.log.events(after)) < count:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(work())

    def check(self, progress: JudgeProgress, rows: int) -> None:
        """Every row is judged once, and the books are equal to the server's."""
        answers = self.log.events(CallAnswered)
        assert len(self.log.events(InstructionJudged)) == rows == len({answer.request_id for answer in answers})
        assert set(self.books.carried_out.values()) == {1}
        ledger = progress.ledger
        assert (ledger.prompt_tokens, ledger.completion_tokens) == self.books.tokens
        assert (ledger.lost, ledger.open, ledger.repeated, ledger.duplicates) == (0, 0, 0, 0)
        assert ledger.known_cost_usd == pytest.approx(sum(self.books.tokens) * 0.5e-6 + self.books.tokens[1] * 0.5e-6)
        assert progress.batches.open == progress.batches.waiting == progress.batches.held == {}


@contextmanager
def judging(*fates: Fate) -> Iterator[Judging]:
    with batch_server(*fates) as (url, books):
        yield Judging(url, books)


def test_requests_are_asked_in_full_batches_and_a_last_smaller_one_at_half_price() -> None:
    with judging() as at:
        at.check(at.judge(10), 10)
        prepared, ended = at.log.events(BatchPrepared), at.log.events(BatchEnded)
        assert sorted(len(event.lines) for event in prepared) == [2, 4, 4]
        assert {(event.status, event.failed, event.unfinished) for event in ended} == {("completed", 0, 0)}
        assert {event.backend for event in at.log.events(CallStarted)} == {"openai-batch"}
        assert at.books.keys == {"Bearer sk-secret"}
        assert not any(b"sk-secret" in (record.value or b"") for record in at.log.records)


@pytest.mark.parametrize(
    ("fate", "calls"), [("expired", 6), ("cancelled", 6), ("half_failed", 6), ("strange", 4), ("failed", 4)]
)
def test_what_a_batch_leaves_is_asked_again_and_what_it_finished_is_used(fate: Fate, calls: int) -> None:
    with judging(fate) as at:
        if fate == "failed":
            with pytest.raises(BackendError, match="It is failed"):
                at.judge(4)
            assert at.log.events(CallFailed) == []
        progress = at.judge(4)
        at.check(progress, 4)
        assert progress.ledger.started == calls
        assert progress.ledger.perhaps_paid == 0
        assert progress.batches.ended == (
            {"completed": 1, fate: 1}
            if fate in ("expired", "cancelled", "failed")
            else {"completed": 1 + (fate == "half_failed")}
        )


def test_a_batch_that_the_endpoint_has_no_room_for_is_sent_again_without_a_further_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("producers.backends.batch.work._FULL_S", 0.01)
    with judging("full") as at:
        progress = at.judge(4)
        at.check(progress, 4)
        assert progress.ledger.started == 4
        assert progress.batches.ended == {"failed": 1, "completed": 1}


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("after", [CallStarted, BatchPrepared, BatchUploaded, BatchSubmitted, CallAnswered])
def test_a_start_after_a_kill_takes_up_what_is_at_the_endpoint(after: type, metadata: bool) -> None:
    with judging() as at:
        at.books.keeps_metadata = metadata
        at.abandoned(10, after)
        at.check(at.judge(10), 10)
        assert len(at.log.events(CallStarted)) == 10


@pytest.mark.parametrize("metadata", [True, False])
def test_a_batch_that_was_created_and_not_noted_is_found_and_not_created_again(metadata: bool) -> None:
    with judging() as at:
        at.books.keeps_metadata = metadata
        at.books.faults["create"] = [0, 503]  # the connection breaks after the work; the other is refused
        at.check(at.judge(8), 8)
        assert len(at.books.batches) == 2


@pytest.mark.parametrize("moment", ["upload", "create", "retrieve", "content"])
def test_an_endpoint_that_fails_now_and_then_is_asked_again(moment: str) -> None:
    with judging() as at:
        at.books.faults[cast(Any, moment)] = [503, 429]
        at.check(at.judge(4), 4)


def test_an_endpoint_that_stays_down_ends_the_lane_and_the_next_start_goes_on() -> None:
    with judging() as at:
        at.books.faults["retrieve"] = [503] * 2
        with pytest.raises(BackendError, match="the last one"):
            at.judge(4, retries=Retries(attempts=2))
        assert at.log.events(CallFailed) == []
        at.check(at.judge(4), 4)


def test_an_endpoint_without_batches_is_a_permanent_error_and_no_request_counts_as_failed() -> None:
    with judging() as at:
        at.books.faults["upload"] = [404]
        with pytest.raises(BackendError, match="Does it offer files and batches") as raised:
            at.judge(4)
        assert raised.value.permanent
        assert at.log.events(CallFailed) == []


def test_a_batch_that_the_endpoint_does_not_know_is_given_up_on_request_only() -> None:
    with judging() as at:
        at.abandoned(4, BatchSubmitted)
        at.books.batches.clear()
        with pytest.raises(BackendError, match="--batch-give-up"):
            at.judge(4)
        progress = at.judge(4, BatchOptions(4, 0.05, 0.01, 0.05, give_up=True))
        assert (progress.ledger.failed, progress.ledger.answered, progress.ledger.perhaps_paid) == (4, 4, 4)
        assert progress.batches.ended == {"given_up": 1, "completed": 1}


def test_a_budget_holds_before_a_batch_is_sent() -> None:
    with judging() as at:
        at.judge(10, limits=Limits(max_calls=6))
        assert len(at.log.events(CallStarted)) == at.books.carried_out.total() == 6


def test_a_lane_with_batches_at_the_endpoint_is_not_started_without_them() -> None:
    with judging() as at:
        at.abandoned(4, BatchSubmitted)
        with pytest.raises(RunError, match="Start it with --batch-api"):
            at.judge(4, None)


def test_of_two_processes_in_one_lane_only_the_first_sends_a_request() -> None:
    with judging() as at:

        async def both() -> list[Any]:
            workers = [at.worker(4), at.worker(4)]
            return await asyncio.gather(*(one.run(one.caller.backend) for one in workers), return_exceptions=True)

        at.abandoned(4, CallStarted, 4)  # both would resume these
        errors = [error for error in asyncio.run(both()) if error is not None]
        assert [type(error) for error in errors] == [RunError]
        assert set(at.books.carried_out.values()) == {1}
