"""Whole runs by the command line: the loop closes, runs are reproducible, and an early end loses nothing."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.reader import LogReader
from infra.tracing import names
from schemas.events import InstructionsGenerated, ReplaceSeeds, TrainingLogged
from tests.e2e.driver import Terminal, write_answers
from tests.harness.collector import Collector, collector
from tests.unit.producers.endpoint import endpoint, error
from tests.unit.trainer.tiny import save_tiny

TRAINING = ("--precision", "fp32", "--threads", "1", "--lr", "1e-2")
RUN_FILE = """
run = "{run}"
seed_count = 24
windows = 3
show_replacement = true
time_limit_s = 450

[policy]
batch_size = 4
refit_from = 32

[generate]
style = "alpaca"
recorded = "{answers}"
recorded_loop = true

[train]
model = "{trainee}"
precision = "fp32"
threads = 1

[settings]
usd_per_1m_prompt_tokens = 1
usd_per_1m_completion_tokens = 2
"""


@pytest.fixture(scope="module")
def trainee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("trainee"))


@pytest.fixture
def terminal(broker: TemporaryBroker, tmp_path: Path) -> Terminal:
    return Terminal(broker.settings, tmp_path)


def recorded(answers: Path) -> list[str]:
    return ["--style", "alpaca", "--recorded", str(answers), "--recorded-loop"]


def run_arguments(run: str, answers: Path, trainee: Path, *further: str) -> list[str]:
    train = ("--model", str(trainee), *TRAINING)
    return [
        "run",
        "--run",
        run,
        "--set",
        "batch_size=4",
        "--set",
        "refit_from=32",
        "--seed-count",
        "24",
        *generate(*recorded(answers)),
        *(word for argument in train for word in ("--train", argument)),
        *further,
    ]


def generate(*arguments: str) -> list[str]:
    return [word for argument in arguments for word in ("--generate", argument)]


def values(terminal: Terminal, run: str, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
    with LogReader(terminal.settings, run, [topic]) as reader:
        records = list(reader.read_to_end())
    return [(r.partition, r.key, r.value) for r in sorted(records, key=lambda r: (r.partition, r.offset))]


@pytest.mark.timeout(600)
def test_the_loop_closes_and_the_report_accounts_for_every_instruction(
    terminal: Terminal, run: str, trainee: Path
) -> None:
    answers = write_answers(terminal.folder / "answers.jsonl", 400)
    file = terminal.folder / "mine.toml"
    file.write_text(RUN_FILE.format(run=run, answers=answers, trainee=trainee), encoding="utf-8")
    with collector() as traces, scraping(terminal.settings.state_dir / "metrics", run) as scraped:
        observing = {**traces.environment, "SEDI_METRICS_PORT": "0"}
        done = terminal.sedi("run", "mine.toml", "--set", "train.lr=1e-2", timeout_s=500, **observing)
    assert done.returncode == 0, done.stderr[-3000:]
    file.write_text(file.read_text(encoding="utf-8").replace("batch_size = 4", "batch_size = 8"), encoding="utf-8")
    other = terminal.sedi("run", "mine.toml")
    assert other.returncode == 2 and "batch_size is 4 there and 8 here" in other.stderr

    report = terminal.json("report", "--run", run)
    assert report["accounted"]
    assert report["kept"] + report["rejected_total"] == report["generated"] > 100
    assert report["steps"] >= 30 and report["windows"] >= 3 and report["replacements"] >= 1
    assert sum(report["clusters"]) == report["kept"] and len(report["clusters"]) == 4
    assert report["rejected"]["similar"] > 0
    assert report["tokens"]["prompt"] == 200 * report["calls"]["answered"]
    assert report["cost"]["usd"] == pytest.approx(report["calls"]["answered"] * (200 * 1 + 200 * 2) / 1e6)

    with LogReader(terminal.settings, run, ["generated", "training-log", "seed-commands"]) as reader:
        events = [record.event for record in reader.read_to_end()]
    commands = [event for event in events if isinstance(event, ReplaceSeeds)]
    windows = [event for event in events if isinstance(event, TrainingLogged)]
    assert commands[0].outcome == "warm_up" and all(c.step is None or c.step > 10 for c in commands)
    assert all(sorted(row.slot for row in step.rows) == [0, 1, 2, 3] for window in windows for step in window.steps)
    new = {replacement.seed.id for command in commands for replacement in command.replacements}
    shown = [event.seed_ids for event in events if isinstance(event, InstructionsGenerated)]
    assert any(new.intersection(seed_ids) for seed_ids in shown)
    assert not any(new.intersection(seed_ids) for seed_ids in shown[:4])
    history = terminal.json("seeds", "history", "--run", run)
    assert {row["seed_id"] for row in history} == new
    assert re.search(r"\d+/3 windows", done.stderr) and "sedi report" in done.stdout

    one_trace_leads_from_the_seeds_to_their_replacement(traces)
    the_metrics_say_what_the_report_says(scraped, report)


def one_trace_leads_from_the_seeds_to_their_replacement(traces: Collector) -> None:
    whole = [
        {span.name: span for span in spans}
        for spans in traces.traces.values()
        if {span.service for span in spans} == {"sedi-generator-main", "sedi-worker", "sedi-trainer"}
    ]
    found = [trace for trace in whole if names.REPLACEMENT in trace]
    assert found, {span.name for span in traces.spans}
    by_id = {span.span_id: span.name for span in traces.spans}
    for trace in found:
        call = next(span for name, span in trace.items() if name.startswith("chat "))
        parents = {span.name: by_id.get(span.parent, "") for span in trace.values()}
        assert parents == {
            names.GENERATION: "",
            names.SUBJECT: names.GENERATION,
            call.name: names.GENERATION,
            names.VERDICT: names.GENERATION,
            names.WINDOW: names.VERDICT,
            names.BATCH: names.WINDOW,
            names.REPLACEMENT: names.WINDOW,
        }
        assert all(span.end_ns >= span.start_ns > 0 for span in trace.values())
        assert call.attributes[names.OUTPUT_TOKENS] == 200 and names.OUTPUT_MESSAGES not in call.attributes
        linked = [by_id.get(span_id) for _, span_id in trace[names.BATCH].links]
        assert linked and set(linked) == {names.VERDICT}  # of rows whose traces are others
    assert any(trace[names.REPLACEMENT].attributes[names.REPLACED] for trace in found)


def the_metrics_say_what_the_report_says(scraped: dict[str, str], report: dict[str, Any]) -> None:
    assert set(scraped) == {"worker", "trainer", "generator-main"}
    kept = re.search(r'sedi_worker_instructions_total\{.*outcome="kept".*\} ([0-9.]+)', scraped["worker"])
    steps = re.search(r"sedi_trainer_step\{.*\} ([0-9.]+)", scraped["trainer"])
    calls = re.search(r'sedi_calls_total\{.*outcome="answered".*\} ([0-9.]+)', scraped["generator-main"])
    assert kept and steps and calls, scraped
    assert 0 < float(kept[1]) <= report["kept"] and 0 < float(steps[1]) <= report["steps"]
    assert 0 < float(calls[1]) <= report["calls"]["answered"]
    assert all("sedi_ready{" in text and "STALLED" not in text for text in scraped.values())


@contextmanager
def scraping(folder: Path, run: str) -> Iterator[dict[str, str]]:
    """The last metrics of each of the run's processes, by its name, as found where they say that they listen."""
    found: dict[str, str] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.5):
            for record in folder.glob(f"{run}-*.json"):
                with suppress(OSError, ValueError):
                    (where,) = json.loads(record.read_text(encoding="utf-8"))[0]["targets"]
                    with urlopen(f"http://{where}/metrics", timeout=5) as answer:
                        name = record.stem.removeprefix(f"{run}-").rpartition("-")[0]
                        found[name] = answer.read().decode()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@pytest.mark.timeout(300)
def test_a_key_that_is_refused_ends_the_run_at_once_with_the_endpoints_reason(terminal: Terminal, run: str) -> None:
    with endpoint(error(401, "No such key.")) as served:
        done = terminal.sedi(
            "run",
            "--run",
            run,
            "--no-trainer",
            "--max-kept",
            "10",
            "--seed-count",
            "8",
            timeout_s=200,
            SEDI_BACKEND="openai",
            SEDI_BASE_URL=served.url,
            SEDI_MODEL="tiny",
            SEDI_API_KEY="sk-not-a-key-0123456789",
        )
    assert done.returncode == 1, done.stderr[-3000:]
    assert "the generator cannot go on" in done.stdout and "No such key." in done.stdout
    assert len(served.received) == 1 and "was started again" not in done.stderr


@pytest.mark.timeout(600)
def test_a_run_started_at_once_and_one_started_part_by_part_decide_the_same_bytes(
    terminal: Terminal, run: str, trainee: Path
) -> None:
    answers = write_answers(terminal.folder / "answers.jsonl", 60)
    at_once = run_arguments(f"{run}-a", answers, trainee, *generate("--max-generations", "60"))
    done = terminal.sedi(*at_once, timeout_s=280)
    assert done.returncode == 0, done.stderr[-3000:]

    policy = ("--set", "batch_size=4", "--set", "refit_from=32", "--seed-count", "24")
    made = terminal.json("configure", "--run", f"{run}-b", *policy)
    assert made["new"] and made["seeds"] == 24 and made["policy"]["batch_size"] == 4
    parts = {command.split()[1]: command.split()[1:] for command in made["next"]}
    assert list(parts) == ["worker", "generate", "train"]
    again = terminal.sedi("configure", "--run", f"{run}-b")
    assert again.returncode == 0 and "goes on where it was" in again.stderr and "sedi worker --run" in again.stdout
    other = terminal.sedi("configure", "--run", f"{run}-b", "--set", "batch_size=8")
    assert other.returncode == 2 and "batch_size is 4 there and 8 here" in other.stderr
    worker = terminal.start(*parts["worker"])
    trainer = terminal.start(*parts["train"], *TRAINING, "--model", str(trainee), "--max-steps", "12")
    generator = terminal.start(*parts["generate"], *recorded(answers), "--max-generations", "60", "--max-ahead", "none")
    for part in (generator, trainer):
        _, err = part.communicate(timeout=200)
        assert part.returncode == 0, err[-3000:]
    deadline = time.monotonic() + 60
    while terminal.json("status", "--run", f"{run}-b")["filter_lag"]:
        assert time.monotonic() < deadline
    worker.send_signal(signal.SIGTERM)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err[-3000:]

    for topic in ("kept", "rejected"):
        first, second = (values(terminal, name, topic) for name in (f"{run}-a", f"{run}-b"))
        assert len(first) >= 60
        assert first == second


@pytest.mark.timeout(600)
def test_ctrl_c_ends_in_order_leaves_no_process_and_the_run_goes_on(
    terminal: Terminal, run: str, trainee: Path
) -> None:
    answers = write_answers(terminal.folder / "answers.jsonl", 400)
    arguments = run_arguments(run, answers, trainee, "--windows", "2")
    first = terminal.start(*arguments)
    deadline = time.monotonic() + 200
    while not (terminal.settings.state_dir / run / "checkpoints").is_dir() and first.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    children = psutil.Process(first.pid).children(recursive=True)
    assert len(children) >= 3
    first.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, output = first.communicate(timeout=120)
    assert first.returncode in (0, 130), output[-3000:]
    assert time.monotonic() - began < 45, output[-3000:]  # 30 s, and what reading the report takes
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    before = terminal.json("report", "--run", run)
    assert before["accounted"] and before["undecided"] == 0

    # it goes on with its own policy and seeds, unless given others, which is refused
    other = terminal.sedi("run", "--run", run, "--set", "batch_size=8")
    assert other.returncode == 2 and "batch_size is 4 there and 8 here" in other.stderr
    without = [word for word in arguments if word not in ("--set", "batch_size=4", "refit_from=32")]
    at = without.index("--seed-count")
    second = terminal.sedi(*without[:at], *without[at + 2 :], timeout_s=280)
    assert second.returncode == 0, second.stderr[-3000:]
    assert "goes on where it was" in second.stderr
    after = terminal.json("report", "--run", run)
    assert after["accounted"] and after["windows"] >= before["windows"] + 2
    steps = []
    with LogReader(terminal.settings, run, ["training-log"]) as reader:
        for record in reader.read_to_end():
            if isinstance(record.event, TrainingLogged):
                steps += [step.step for step in record.event.steps]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.timeout(600)
def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty when it has gone."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_no_process(terminal: Terminal, run: str, trainee: Path) -> None:
    answers = write_answers(terminal.folder / "answers.jsonl", 400)
    started = terminal.start(*run_arguments(run, answers, trainee, "--no-trainer"))
    deadline = time.monotonic() + 200
    children: list[psutil.Process] = []
    generators: list[psutil.Process] = []
    while not generators:
        assert time.monotonic() < deadline and started.poll() is None
        time.sleep(0.1)
        children = psutil.Process(started.pid).children(recursive=True)
        generators = [child for child in children if "generate" in command_of(child)]
    generators[0].suspend()  # so that ending in order would take long
    started.send_signal(signal.SIGHUP)  # as by a closed terminal
    time.sleep(1)
    assert started.poll() is None
    started.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, output = started.communicate(timeout=60)

    assert time.monotonic() - began < 20, output[-3000:]
    assert started.returncode == 130 and "Traceback" not in output, output[-3000:]
    assert "once more to end at once" in output and "Ended at once" in output
    assert not psutil.wait_procs(children, timeout=30)[1]


def test_a_run_that_cannot_be_says_what_to_do(terminal: Terminal, run: str) -> None:
    wrong = terminal.sedi("run", "--run", run, "--set", "clusters=12")
    assert wrong.returncode == 2 and "power of two" in wrong.stderr and "Traceback" not in wrong.stderr
    absent = terminal.sedi("report", "--run", run)
    assert absent.returncode == 1 and "sedi run" in absent.stderr
    assert json.loads(terminal.sedi("doctor", "--json").stdout)
