"""A generator on the real broker: what it writes, when it waits, when it ends."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from infra.local_broker.temporary_broker import TemporaryBroker
from producers.backends.base import EndpointRefused, RequestRefused, Sampling, Transient
from producers.backends.recorded import Faults, RecordedOptions
from producers.calls.limits import Limits
from producers.calls.rate_control import RateOptions
from producers.calls.retries import Retries
from producers.generate.generator import GenerateOptions
from producers.generate.style_factory import StyleInUse
from schemas import ids
from schemas.errors import ConfigurationError, RunError
from schemas.events import (
    BatchRow,
    CallAnswered,
    CallFailed,
    CallStarted,
    Instruction,
    InstructionKept,
    InstructionsRejected,
    Replacement,
    ReplaceSeeds,
    StepLogged,
    TrainingLogged,
)
from schemas.seeds import SeedTask
from tests.integration.producers.driver import SEEDS, Rig
from tests.unit.producers.endpoint import Reply, chat, endpoint, error

QUICK = Retries(first_pause_s=0.0, longest_pause_s=0.0)
PRICES = {"usd_per_1m_prompt_tokens": 1.0, "usd_per_1m_completion_tokens": 2.0}
COST = 200e-6  # of one recorded answer


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    settings = broker.settings.model_copy(update={"backend": "recorded", "max_filter_lag": 100_000})
    # As if it had been given, so that child processes get it too.
    rig = Rig(type(settings)(**settings.model_dump()), run, tmp_path)
    rig.configure()
    yield rig


def options(rig: Rig, recorded: RecordedOptions | None, limits: Limits, **more: object) -> GenerateOptions:
    return GenerateOptions(run=rig.run, recorded=recorded, limits=limits, **{"retries": QUICK, **more})  # type: ignore[arg-type]


def decide(rig: Rig, offset: int, kept_total: int = 0) -> None:
    """Do as the filter does when it is done with a generation."""
    event = InstructionsRejected(
        generation_id="g",
        generated_offset=offset,
        rejections=(),
        generated=2,
        kept=0,
        generated_total=0,
        kept_total=kept_total,
    )
    with rig.writer() as writer:
        writer.write(event, key="g", id=ids.verdict_id(offset))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_two_hundred_generations_stand_on_the_log_in_order_with_their_cause(rig: Rig, concurrency: int) -> None:
    recorded = RecordedOptions(rig.answers(200))
    summary = rig.generate(options(rig, recorded, Limits(max_generations=200), concurrency=concurrency), **PRICES)
    assert (summary.generations, summary.instructions, summary.calls, summary.unfinished) == (200, 400, 200, 0)
    records = rig.records("generated")
    generations = rig.generations()
    assert [generation.number for generation in generations] == list(range(200))
    for record, generation in zip(records, generations, strict=True):
        number = generation.number
        (answer,) = generation.answers
        assert record.decoded is not None
        assert record.id == record.key.decode() == ids.generation_id("main", number)
        assert record.decoded.meta.causation_id == ids.child(answer.request_id, "answered/1")
        assert answer.request_id == ids.request_id(record.id, 0)
        assert generation.instructions == (
            Instruction(instruction=f"Name thing {number} please.", output=f"Thing {number}."),
            Instruction(instruction=f"Add two to {number} now.", input=str(number), output=str(number + 2)),
        )
        assert len(set(generation.seed_ids)) == 3
        assert generation.cost_usd == pytest.approx(COST)
    ledger = rig.ledger()
    assert (ledger.started, ledger.answered, ledger.lost, ledger.open) == (200, 200, 0, 0)
    assert ledger.cost_usd == pytest.approx(200 * COST)


def test_a_second_start_goes_on_where_the_first_ended_and_limits_are_of_the_run(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(50))
    rig.generate(options(rig, recorded, Limits(max_generations=5)))
    assert rig.generate(options(rig, recorded, Limits(max_generations=5))).generations == 0
    assert rig.generate(options(rig, recorded, Limits(max_generations=8))).generations == 3
    assert "--max-calls 10" in rig.generate(options(rig, recorded, Limits(max_calls=10), concurrency=4)).ended
    assert [generation.number for generation in rig.generations()] == list(range(10))
    other = rig.generate(options(rig, recorded, Limits(max_generations=13), lane="other"))
    assert (other.generations, other.lane) == (3, "other")


def test_spending_is_limited_over_restarts(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(50))
    style = StyleInUse(sampling=Sampling(max_tokens=50))
    worst = (1500 + 2 * 50) * 1e-6  # of one call; the estimate of the prompt is below that
    for budget in (worst + 2 * COST, worst + 5 * COST):
        summary = rig.generate(options(rig, recorded, Limits(max_usd=budget), style=style, concurrency=8), **PRICES)
        assert "--max-usd" in summary.ended
        assert summary.run_cost_usd is not None
        assert budget - worst < summary.run_cost_usd <= budget, "the next call might have exceeded it"
    assert len(rig.generations()) < (worst + 5 * COST) / COST
    with pytest.raises(ConfigurationError, match="--max-calls"):
        rig.generate(options(rig, recorded, Limits(max_usd=1.0)))


def test_kept_instructions_end_it_when_the_filter_says_so(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(10))
    rig.generate(options(rig, recorded, Limits(max_generations=2)))
    decide(rig, 1, kept_total=4)
    assert "4 instructions are kept" in rig.generate(options(rig, recorded, Limits(max_kept=4))).ended


def test_it_waits_for_a_filter_that_is_behind(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(20))
    limits = Limits(max_generations=10, max_filter_lag=3)
    found = []
    generator = threading.Thread(target=lambda: found.append(rig.generate(options(rig, recorded, limits))))
    generator.start()
    try:
        rig.wait_for("generated", 4)
        time.sleep(0.6)
        assert len(rig.generations()) == 4, "with four undecided it waits"
        decide(rig, 1)
        rig.wait_for("generated", 6)
        time.sleep(0.6)
        assert len(rig.generations()) == 6
    finally:
        decide(rig, 100)
        generator.join(120)
    assert found[0].waited_s["filter"] > 0
    assert len(rig.generations()) == 10


def test_it_waits_for_a_trainer_that_is_behind(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(20))
    with rig.writer() as writer:
        for number in range(24):
            id = ids.instruction_id(ids.generation_id("other", 0), number)
            kept = InstructionKept(
                id=id,
                instruction="i",
                input="",
                output="o",
                generation_id="g",
                generated_offset=number,
                place=0,
                cluster=number % 2,
                classifier_offset=0,
            )
            writer.write(kept, key=id, id=id, partition=number % 2)
    decide(rig, 23, kept_total=24)
    found = []
    generator = threading.Thread(
        target=lambda: found.append(rig.generate(options(rig, recorded, Limits(max_generations=3), ahead_windows=1)))
    )
    generator.start()
    try:
        time.sleep(1.5)
        assert rig.generations() == [], "24 rows are more than the 20 of a window"
    finally:
        row = BatchRow(id="i", slot=0, cluster=0, generated_offset=4)
        step = StepLogged(
            step=1,
            loss=1.0,
            loss_variance=0.0,
            grad_norm=1.0,
            learning_rate=0.1,
            tokens=1,
            seconds=1.0,
            rows=(row, msgspec.structs.replace(row, cluster=1, generated_offset=1)),
        )
        with rig.writer() as writer:
            window = TrainingLogged(window=0, epoch=1, model="m", steps=(step,))
            writer.write(window, key="w", id=ids.window_id(1, 0))
        generator.join(120)
    assert len(rig.generations()) == 3, "training has passed three rows of one cluster, one of the other: 20 are left"
    assert found[0].waited_s["trainer"] > 1.0


def test_replaced_seeds_are_shown_from_the_next_generation_on(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(20))
    rig.generate(options(rig, recorded, Limits(max_generations=2)))
    command = ReplaceSeeds(
        window=1,
        epoch=1,
        training_offset=0,
        as_of_offset=1,
        outcome="replaced",
        metric="grad_norm",
        replacements=tuple(
            Replacement(
                victim_id=seed.id,
                victim_generated=1,
                victim_kept=0,
                seed=SeedTask(id=f"n{place}", instruction=f"New thing {place} now."),
            )
            for place, seed in enumerate(SEEDS)
        ),
    )
    with rig.writer() as writer:
        writer.write(command, key="w", id=ids.command_id(0))
    rig.generate(options(rig, recorded, Limits(max_generations=4)))
    before, after = rig.generations()[:2], rig.generations()[2:]
    assert all(id.startswith("s") for generation in before for id in generation.seed_ids)
    assert all(id.startswith("n") for generation in after for id in generation.seed_ids)
    assert [generation.seed_commands_offset for generation in before + after] == [-1, -1, 0, 0]
    causes = [
        record.decoded.meta.causation_id for record in rig.records("calls") if isinstance(record.event, CallStarted)
    ]
    assert causes == [ids.run_id(rig.run)] * 2 + [ids.command_id(0)] * 2


def test_two_steps_make_a_list_and_an_answer_to_each(rig: Rig) -> None:
    raws = []
    for number in range(20):
        raws += [f"1. Name thing {number}.\n2. Praise thing {number}.\n3. Never asked {number}.", "A", "B"]
    recorded = RecordedOptions(rig.file(raws), per_generation=3)
    style = StyleInUse(style="two-step", most=2)
    rig.generate(options(rig, recorded, Limits(max_generations=20), style=style, concurrency=3))
    for number, generation in enumerate(rig.generations()):
        assert (generation.number, generation.style) == (number, "two-step")
        assert [task.instruction for task in generation.instructions] == [
            f"Name thing {number}.",
            f"Praise thing {number}.",
        ]
        assert [task.output for task in generation.instructions] == ["A", "B"]
        assert len(generation.answers) == 3
        assert [block.text for block in generation.unparsed] == [f"Never asked {number}."]


def test_with_thirty_percent_faults_nothing_is_lost(rig: Rig) -> None:
    faults = Faults(time_out=0.06, rate_limited=0.06, server_error=0.06, cut=0.06, garbled=0.06)
    recorded = RecordedOptions(rig.answers(200), faults=faults)
    rig.generate(options(rig, recorded, Limits(max_generations=200), concurrency=8), **PRICES)
    generations = rig.generations()
    assert [generation.number for generation in generations] == list(range(200))
    spoiled = {"cut": 0, "garbled": 0}
    for generation in generations:
        answer = generation.answers[-1]
        fault = faults.drawn(answer.request_id, answer.attempt)
        if fault is None:
            assert len(generation.instructions) == 2
        else:
            spoiled[fault] += 1
        texts = [text for task in generation.instructions for text in (task.instruction, task.input, task.output)]
        texts += [block.text for block in generation.unparsed]
        # All but white space, labels, separators and the mark for no input.
        held = sum(len("".join(text.split())) for text in texts)
        assert held >= len("".join(answer.raw.split())) - 70
    assert min(spoiled.values()) > 0
    ledger = rig.ledger()
    failures = rig.events("calls", CallFailed)
    assert (ledger.answered, ledger.lost, ledger.open, ledger.repeated) == (200, 0, 0, 0)
    assert {event.status for event in failures} == {None, 429, 500}
    assert ledger.failed == len(failures) == ledger.started - 200
    assert ledger.cost_usd == pytest.approx(200 * COST)


def test_an_endpoint_that_stays_down_ends_it_and_the_next_start_goes_on(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(5), faults=Faults(server_error=1.0))
    with pytest.raises(Transient, match="attempt 2 in a row"):
        rig.generate(options(rig, recorded, Limits(max_generations=5), retries=Retries(2, 0.0, 0.0)))
    rig.generate(options(rig, RecordedOptions(recorded.file), Limits(max_generations=5)))
    assert [generation.number for generation in rig.generations()] == list(range(5))
    assert [event.attempt for event in rig.events("calls", CallAnswered)] == [3, 1, 1, 1, 1]


def test_a_real_endpoint_is_asked_over_http_and_busy_ones_are_asked_again(rig: Rig) -> None:
    raw = "4. Instruction: Name a city.\n4. Input: <noinput>\n4. Output: Paris."
    with endpoint(error(429, retry_after="0"), error(500), chat(raw, usage=False)) as served:
        summary = rig.generate(
            options(rig, None, Limits(max_generations=2)), backend="openai", base_url=served.url, model="tiny", **PRICES
        )
    assert (summary.generations, summary.calls, len(served.received)) == (2, 4, 4)
    first, _ = rig.generations()
    assert first.instructions == (Instruction(instruction="Name a city.", output="Paris."),)
    assert (first.backend, first.model, first.cost_usd) == ("openai", "tiny-1", None)
    assert [(event.status, event.retry) for event in rig.events("calls", CallFailed)] == [(429, True), (500, True)]


def test_a_refused_request_leaves_an_empty_generation_and_many_in_a_row_end_it(rig: Rig) -> None:
    raw = "4. Instruction: Name a city.\n4. Input: <noinput>\n4. Output: Paris."
    replies = [chat(raw), error(400, "content filter"), chat(raw), *[error(400, "bad parameter")] * 4]
    with endpoint(*replies) as served, pytest.raises(RequestRefused, match="bad parameter"):
        rig.generate(
            options(rig, None, Limits(max_generations=20)), backend="openai", base_url=served.url, model="tiny"
        )
    assert [len(generation.instructions) for generation in rig.generations()] == [1, 0, 1, 0, 0, 0]
    empty = rig.records("generated")[1].decoded
    assert empty is not None
    assert empty.meta.causation_id in [record.id for record in rig.records("calls") if record.event]


def test_an_answer_of_megabytes_and_a_flagged_prompt_cost_one_generation_each_also_over_a_restart(rig: Rig) -> None:
    raw = "4. Instruction: Name a city.\n4. Input: <noinput>\n4. Output: Paris."
    flagged = Reply({"error": {"message": "Your input was flagged", "code": 403, "metadata": {"reasons": ["x"]}}}, 403)
    replies = [chat(raw), chat(raw + "word " * 920_000), flagged, chat(raw)]
    with endpoint(*replies) as served:
        to = {"backend": "openai", "base_url": served.url, "model": "tiny", **PRICES}
        rig.generate(options(rig, None, Limits(max_generations=3)), **to)
        summary = rig.generate(options(rig, None, Limits(max_generations=5)), **to)
    assert (summary.generations, summary.calls, len(served.received)) == (2, 2, 5)
    generations = rig.generations()
    assert [len(generation.instructions) for generation in generations] == [1, 0, 0, 1, 1]
    assert [part.reason for generation in generations for part in generation.unparsed] == ["too_large", "flagged"]
    ledger = rig.ledger()
    assert (ledger.answered, ledger.failed, ledger.failed_paid, ledger.tokens) == (3, 2, 1, 40)
    assert summary.run_cost_usd == ledger.cost_usd == pytest.approx(4 * 13e-6)


def test_what_unusable_answers_took_counts_for_the_limit_on_money(rig: Rig) -> None:
    nothing = chat(None)
    nothing.body["choices"] = []
    with endpoint(nothing) as served:
        style, rate = StyleInUse(sampling=Sampling(max_tokens=50)), RateOptions(breaker_failures=1000)
        summary = rig.generate(
            options(rig, None, Limits(max_usd=1.7e-3), style=style, retries=Retries(200, 0.0, 0.0), rate=rate),
            backend="openai",
            base_url=served.url,
            model="tiny",
            **PRICES,
        )
    failures = rig.events("calls", CallFailed)
    assert "--max-usd" in summary.ended
    assert len(failures) == len(served.received) > 3
    assert all(event.cost_usd == pytest.approx(13e-6) for event in failures)
    assert summary.run_cost_usd == pytest.approx(len(failures) * 13e-6)
    assert summary.run_cost_usd <= 1.7e-3


def test_a_wrong_key_that_is_told_as_400_ends_it_at_once(rig: Rig) -> None:
    refused = Reply([{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}], 400)
    with endpoint(refused) as served, pytest.raises(EndpointRefused, match="API key not valid"):
        rig.generate(options(rig, None, Limits(max_generations=9)), backend="openai", base_url=served.url, model="tiny")
    assert (len(served.received), rig.generations()) == (1, [])
    assert "API key not valid" in rig.events("calls", CallFailed)[0].error


def test_a_wrong_key_ends_it_with_what_to_do_and_is_nowhere_on_the_log(rig: Rig) -> None:
    key = "sk-secret-0123456789"
    with (
        endpoint(error(401, f"Wrong key {key}.")) as served,
        pytest.raises(EndpointRefused, match="SEDI_API_KEY") as caught,
    ):
        rig.generate(
            options(rig, None, Limits(max_generations=2)),
            backend="openai",
            base_url=served.url,
            model="tiny",
            api_key=SecretStr(key),
        )
    assert key in served.received[0].headers["authorization"]
    assert key not in str(caught.value)
    for topic in ("calls", "generated", "run"):
        for record in rig.records(topic):
            assert key.encode() not in (record.value or b"") + repr(record.headers).encode()
    assert [event.status for event in rig.events("calls", CallFailed)] == [401]


def test_a_second_generator_on_the_lane_ends_one_of_them(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(2000), latency_s=0.01)
    errors: list[RunError] = []

    def work() -> None:
        try:
            rig.generate(options(rig, recorded, Limits(max_generations=60)))
        except RunError as error:
            errors.append(error)

    generators = [threading.Thread(target=work) for _ in range(2)]
    for generator in generators:
        generator.start()
    for generator in generators:
        generator.join(60)
    assert errors, "at least one noticed"
    assert all("--lane" in str(error) for error in errors)


def test_a_signal_lets_calls_under_way_end_and_exits_with_zero(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(1000), latency_s=0.2)
    process = rig.start(options(rig, recorded, Limits(max_generations=1000), concurrency=4))
    rig.wait_for("generated", 6)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    summary = rig.summary()
    assert (summary.ended, summary.at_once, summary.unfinished) == ("stopped by a signal", False, 0)
    generations = rig.generations()
    assert [generation.number for generation in generations] == list(range(len(generations)))
    ledger = rig.ledger()
    assert (ledger.started, ledger.open, ledger.lost) == (len(generations), 0, 0)


def test_a_second_signal_ends_it_at_once_and_the_next_start_finishes_what_was_begun(rig: Rig) -> None:
    recorded = RecordedOptions(rig.answers(1000), latency_s=0.05)
    rig.generate(options(rig, recorded, Limits(max_generations=3)))
    slow = RecordedOptions(recorded.file, latency_s=600.0)
    process = rig.start(options(rig, slow, Limits(max_generations=1000), concurrency=4))
    rig.wait_for("calls", 6 + 4)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    summary = rig.summary()
    assert (summary.at_once, summary.generations, summary.unfinished) == (True, 0, 4)
    assert rig.ledger().open == 4
    rig.generate(options(rig, recorded, Limits(max_generations=10)))
    ledger = rig.ledger()
    assert (ledger.answered, ledger.lost, ledger.open) == (10, 4, 0)
    assert [generation.number for generation in rig.generations()] == list(range(10))
