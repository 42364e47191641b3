"""A generator that is killed loses no answer, repeats no generation and pays for no answer twice."""

import random
import signal
import time
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from producers.backends.recorded import RecordedOptions
from producers.calls.limits import Limits
from producers.generate.generator import GenerateOptions
from producers.generate.style_factory import StyleInUse
from schemas import ids
from schemas.events import CallAnswered, CallStarted
from tests.integration.producers.driver import Rig

GENERATIONS = 200
KILLS = 10


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Rig:
    values = {**broker.settings.model_dump(), "backend": "recorded", "max_filter_lag": 100_000}
    values |= {"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 2.0}
    rig = Rig(type(broker.settings)(**values), run, tmp_path)
    rig.configure()
    return rig


def kill_while_it_works(rig: Rig, options: GenerateOptions, rng: random.Random) -> None:
    """Start a generator, let it do something, kill it wherever it is."""
    calls = len(rig.records("calls"))
    process = rig.start(options)
    rig.wait_for("calls", calls + rng.randrange(1, 12))
    time.sleep(rng.uniform(0.0, 0.05))
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("style", ["alpaca", "two-step"])
def test_ten_kills_lose_and_repeat_nothing(rig: Rig, style: str) -> None:
    rng = random.Random(style)
    if style == "alpaca":
        recorded = RecordedOptions(rig.answers(GENERATIONS), latency_s=0.01)
        style, generations, calls_each = StyleInUse(), GENERATIONS, 1
    else:
        generations, calls_each = GENERATIONS // 4, 4
        raws = [
            text
            for number in range(generations)
            for text in (f"1. Name {number} things.\n2. Praise {number}.\n3. Sing {number} songs.", "A", "B", "C")
        ]
        recorded = RecordedOptions(rig.file(raws), per_generation=4, latency_s=0.04)  # all kills find it at work
        style = StyleInUse(style="two-step", most=3)
    options = GenerateOptions(
        run=rig.run, style=style, recorded=recorded, limits=Limits(max_generations=generations), concurrency=4
    )
    for _ in range(KILLS):
        kill_while_it_works(rig, options, rng)
    process = rig.start(options)
    assert process.wait(60) == 0

    found = rig.generations()
    assert [generation.number for generation in found] == list(range(generations)), "none lost, none twice, no gap"
    undisturbed = Rig(rig.settings, f"{rig.run}-u", rig.folder)
    undisturbed.configure()
    undisturbed.generate(
        GenerateOptions(run=undisturbed.run, style=style, recorded=recorded, limits=options.limits, concurrency=4)
    )
    for generation, expected in zip(found, undisturbed.generations(), strict=True):
        assert generation.instructions == expected.instructions
        assert generation.seed_ids == expected.seed_ids
        assert [answer.request_id for answer in generation.answers] == [
            ids.request_id(ids.generation_id("main", generation.number), step) for step in range(calls_each)
        ]

    ledger = rig.ledger()
    answers = rig.events("calls", CallAnswered)
    started = rig.events("calls", CallStarted)
    assert ledger.answered == generations * calls_each == len({event.request_id for event in answers})
    assert ledger.repeated == 0, "no request was answered twice"
    assert ledger.open == 0
    assert ledger.lost == len(started) - len(answers)
    assert 0 < ledger.lost <= KILLS * 16, "calls under way at a kill are counted as lost"
    assert ledger.cost_usd == pytest.approx(generations * calls_each * 200e-6)
    written = [answer for generation in found for answer in generation.answers]
    by_request = {answer.request_id: answer for answer in answers}
    assert written == [by_request[answer.request_id] for answer in written], "what was paid for is what was written"
    assert len(written) == len(answers)
