"""Batches over kills: real processes and a real broker, killed at the moments where a request could be lost or sent
twice. BATCHED_REQUESTS sets the number of requests; 2000 is the full proof, in ten batches."""

import os
import signal
from pathlib import Path
from typing import cast

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from producers.backends.batch.options import BatchOptions
from producers.calls.limits import Limits
from producers.generate.generator import GenerateOptions
from producers.generate.style_factory import StyleInUse
from producers.judge.judge import JudgeOptions
from schemas.batches import BatchPrepared, BatchSubmitted
from schemas.events import CallAnswered, CallStarted
from streams.core.batch_ledger import BatchLedger
from tests.conformance.batch_server import Moment, batch_server
from tests.harness.forked import Forked
from tests.integration.producers.driver import Rig
from tests.integration.producers.judge_driver import JudgeRig

REQUESTS = int(os.environ.get("BATCHED_REQUESTS", "200"))
BATCHES = 10
KILLS: tuple[Moment, ...] = ("upload", "create", "retrieve", "content", "list")


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> JudgeRig:
    values = {**broker.settings.model_dump(), "backend": "openai", "model": "tiny", "api_key": "sk-secret"}
    values |= {"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 2.0, "batch_price_share": 0.5}
    made = JudgeRig(type(broker.settings)(**values), run, tmp_path)
    made.configure()
    made.keep(0, REQUESTS)
    return made


def options(rig: JudgeRig) -> JudgeOptions:
    batch = BatchOptions(size=REQUESTS // BATCHES, linger_s=1.0, poll_s=0.1, settle_s=0.3)
    return JudgeOptions(rig.run, until_end=True, attempts=1, batch=batch, limits=Limits(max_usd=100.0))


def test_five_kills_an_expired_batch_and_a_half_failed_one_lose_and_repeat_nothing(rig: JudgeRig) -> None:
    with batch_server("completed", "expired", "completed", "half_failed") as (url, books):
        rig = JudgeRig(rig.settings.model_copy(update={"base_url": url}), rig.run, rig.folder)
        process: Forked
        for moment in KILLS:
            arrived = books.hold(moment)
            if moment == "list":  # what may have been created is looked for after a kill during the creation
                books.faults["create"] = [0]
            process = rig.start_judge(options(rig))
            assert arrived.wait(60), process.last_lines()
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
            books.release(moment)
        process = rig.start_judge(options(rig))
        assert process.wait(600) == 0, process.last_lines()

        judged, answers = rig.judged(), rig.events("calls", CallAnswered)
        ledger, batches = rig.ledger(), BatchLedger()
        for record in rig.records("calls"):
            assert record.event is not None
            assert b"sk-secret" not in (record.value or b"")
            batches.apply(record.event)
        assert len({event.kept_id for event in judged}) == len(judged) == REQUESTS
        assert len({answer.request_id for answer in answers}) == len(answers) == REQUESTS
        assert books.carried_out.total() == REQUESTS
        assert set(books.carried_out.values()) == {1}
        asked_again = 2 * (REQUESTS // BATCHES // 2)
        assert len(rig.events("calls", CallStarted)) == REQUESTS + asked_again
        assert (ledger.lost, ledger.open, ledger.repeated) == (0, 0, 0)
        assert (ledger.failed, ledger.perhaps_paid) == (asked_again, 0)
        assert (ledger.prompt_tokens, ledger.completion_tokens) == books.tokens
        prompt, completion = books.tokens
        assert ledger.cost_usd == pytest.approx((prompt * 0.5 + completion * 1.0) * 1e-6)
        assert batches.open == batches.waiting == {}
        submitted = [event.remote_id for event in rig.events("calls", BatchSubmitted)]
        assert sorted(submitted) == sorted(books.batches), "every batch at the server is on the log"
        assert len(rig.events("calls", BatchPrepared)) == sum(batches.ended.values())


def test_a_generator_of_lists_and_their_answers_goes_on_after_a_kill(rig: JudgeRig) -> None:
    with batch_server() as (url, books):
        books.text = lambda body: "1. Name three things.\n2. Praise a friend.\n"
        values = {"base_url": url, "max_filter_lag": 100_000}
        made = Rig(rig.settings.model_copy(update=values), f"{rig.run}-g", rig.folder)
        made.configure()
        options = GenerateOptions(
            run=made.run,
            style=StyleInUse(style="two-step", most=2),
            limits=Limits(max_generations=20),
            concurrency=8,
            batch=BatchOptions(size=8, linger_s=0.2, poll_s=0.05, settle_s=0.2),
        )
        for moment in cast(tuple[Moment, ...], ("create", "content")):
            arrived = books.hold(moment)
            process = made.start(options)
            assert arrived.wait(60), process.last_lines()
            process.send_signal(signal.SIGKILL)
            process.wait(60)
            books.release(moment)
        process = made.start(options)
        assert process.wait(60) == 0, process.last_lines()
        assert [event.number for event in made.generations()] == list(range(20))
        assert {len(event.answers) for event in made.generations()} == {3}
        ledger = made.ledger()
        assert (ledger.started, ledger.answered, ledger.lost, ledger.open) == (60, 60, 0, 0)
        assert set(books.carried_out.values()) == {1}
        assert (ledger.prompt_tokens, ledger.completion_tokens) == books.tokens


def test_a_signal_ends_at_once_and_leaves_the_batches_at_the_endpoint(rig: JudgeRig) -> None:
    with batch_server() as (url, books):
        rig = JudgeRig(rig.settings.model_copy(update={"base_url": url}), rig.run, rig.folder)
        arrived = books.hold("retrieve")
        process = rig.start_judge(options(rig))
        assert arrived.wait(60), process.last_lines()
        process.terminate()
        assert process.wait(30) == 0, process.last_lines()
        books.release("retrieve")
        assert rig.judged() == []
        assert rig.judge(options(rig)).judged == REQUESTS
        assert set(books.carried_out.values()) == {1}
