"""A fault in a program does not reroute a whole run: the worker stops, and continues once it is fixed."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import Consumer

from consumers.report import report
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.dead_letters import origins
from infra.log.source import KafkaSource
from schemas import ids
from schemas.policy import policy_for
from sedi.main import main
from sedi.options import ExitCode
from streams.core import decider
from streams.worker import shutdown
from tests.e2e.driver import Terminal, write_answers
from tests.harness.forked import Forked, fork
from tests.integration.raw_records import RawRecord, write_raw
from tests.integration.worker.driver import Rig, generation, seeds

IN_A_ROW, GENERATIONS = 5, 12


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    settings = broker.settings.model_copy(update={"dead_letters_in_a_row": IN_A_ROW})
    rig = Rig(settings, run, policy_for(batch_size=2), tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


def write_generations(rig: Rig, *numbers: int) -> int:
    """The offset of the last."""
    with rig.writer() as writer:
        for number in numbers:
            id = ids.generation_id("g0", number)
            last = writer.write(generation(number, seeds()), key=id, id=id).offset
    return last


def write_garbage(rig: Rig, count: int, topic: str = "generated") -> None:
    write_raw(rig.settings, rig.run, [RawRecord(topic, 0, b"k", b"not json", [])] * count)


def break_decider() -> None:
    def judge(*_: object) -> None:
        raise ValueError("the rule is broken")

    decider.judge = judge  # type: ignore[assignment]


def let_the_consumers_thread_end_first() -> None:
    """It takes longer to say goodbye, and the services before it take longer to stop."""
    stop, on_stop = AIOKafkaConsumer.stop, Consumer.on_stop

    async def slow_stop(consumer: AIOKafkaConsumer) -> None:
        await asyncio.sleep(3)
        await stop(consumer)

    async def late_on_stop(consumer: Consumer) -> None:
        await asyncio.sleep(1.5)
        await on_stop(consumer)

    AIOKafkaConsumer.stop, Consumer.on_stop = slow_stop, late_on_stop


def let_its_shutdown_hang() -> None:
    async def on_stop(consumer: Consumer) -> None:
        await asyncio.Future()

    Consumer.on_stop = on_stop
    shutdown.LIMIT_S = 2.0


def command(run: str, prepare: Callable[[], None] | None) -> int:
    """`sedi worker`, in a process of its own."""
    if prepare is not None:
        prepare()
    return main(["worker", "--run", run])


def start_command(rig: Rig, prepare: Callable[[], None] | None = None) -> Forked:
    output = rig.logs / f"command-{len(rig.workers)}.log"
    worker = fork(command, rig.run, prepare, settings=rig.settings, output=output, folder=rig.logs)
    rig.workers.append(worker)
    return worker


def last_line(rig: Rig, worker: int) -> str:
    return (rig.logs / f"command-{worker}.log").read_text().splitlines()[-1]


@pytest.mark.timeout(280)
def test_a_worker_with_broken_code_stops_and_once_mended_decides_everything(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    last = write_generations(rig, *range(GENERATIONS))
    for worker in range(2):  # started again, it comes no further
        assert start_command(rig, break_decider).wait(90) == ExitCode.DEAD_LETTERS
        message = last_line(rig, worker)
        assert message.startswith("sedi: Too many dead letters: with offset 5 of generated they would be 6 in a row")
        assert "The last error: ValueError: the rule is broken. Nothing is lost" in message
        assert origins(rig.records("generated.dlq"))[0] == {(0, offset) for offset in range(IN_A_ROW)}
        assert [r.event.generated_offset for r in rig.records("rejected")] == list(range(IN_A_ROW))  # type: ignore[union-attr]

    rig.start_worker()
    rig.wait_decided(last)
    capsys.readouterr()
    servers = ("--bootstrap-servers", rig.settings.bootstrap_servers)
    assert main(["dlq", "retry", "--all", "--run", rig.run, *servers, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["retried"] == IN_A_ROW
    rig.wait_decided(last + IN_A_ROW)
    assert origins(rig.records("generated.dlq"))[0] == set()
    found = report(KafkaSource(rig.settings, rig.run))
    assert found.accounted, found.unaccounted_first
    assert (found.generations, found.generated) == (GENERATIONS, 3 * GENERATIONS)


@pytest.mark.parametrize(
    ("topic", "prepare"),
    [
        ("training-log", None),
        ("training-log", let_the_consumers_thread_end_first),
        ("training-log", let_its_shutdown_hang),
        ("seed-commands", None),  # they are read when it starts
    ],
)
def test_a_worker_stops_so_in_every_agent_also_while_it_recovers_and_whatever_holds_its_shutdown(
    rig: Rig, topic: str, prepare: Callable[[], None] | None
) -> None:
    write_garbage(rig, IN_A_ROW + 1, topic)
    assert start_command(rig, prepare).wait(90) == ExitCode.DEAD_LETTERS
    assert last_line(rig, 0).startswith(
        f"sedi: Too many dead letters: with offset 5 of {topic} they would be 6 in a row"
    )
    says_where_it_hangs = "in on_stop" in (rig.logs / "command-0.log").read_text()
    assert says_where_it_hangs == (prepare is let_its_shutdown_hang)


def test_bad_records_under_the_limit_stop_nobody(rig: Rig) -> None:
    worker = rig.start_worker()
    for number in range(4):
        write_garbage(rig, IN_A_ROW)
        last = write_generations(rig, number)
    rig.wait_decided(last)
    assert worker.poll() is None
    assert len(origins(rig.records("generated.dlq"))[0]) == 4 * IN_A_ROW


@pytest.mark.timeout(280)
def test_a_run_whose_worker_stops_so_ends_with_1_and_the_sentence_and_starts_it_no_more(rig: Rig) -> None:
    write_garbage(rig, IN_A_ROW + 1)
    answers = write_answers(rig.logs / "answers.jsonl", 400)
    recorded = ("--backend", "recorded", "--recorded", str(answers))
    began = time.monotonic()
    done = Terminal(rig.settings, rig.logs).sedi(
        "run",
        "--run",
        rig.run,
        "--no-trainer",
        "--max-kept",
        "1000",
        "--set",
        "batch_size=2",
        "--seeds",
        str(seed_file(rig)),
        *(word for each in recorded for word in ("--generate", each)),
        timeout_s=120,
    )
    assert done.returncode == ExitCode.FAILED, done.stderr[-3000:]
    assert "the worker cannot go on. It said: sedi: Too many dead letters: with offset 5 of generated" in done.stdout
    assert "was started again" not in done.stderr
    assert time.monotonic() - began < 60, "nobody waits for a filter that decides no more"


def seed_file(rig: Rig) -> Path:
    path = rig.logs / "seeds.jsonl"
    lines = [json.dumps({"id": seed.id, "instruction": seed.instruction, "output": seed.output}) for seed in seeds()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
