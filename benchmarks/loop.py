"""How much of a run sees the feedback of training: a generator that never waits, and one that waits for training.

Both runs have the same target, the default policy and seeds, the load model as the LLM, which answers at once, and a
trainer that batches and borrows like ours, with steps that only take time (`benchmarks.stub_trainer`): 4 steps of 16
rows per second are fewer rows than the filter decides. The first generator has `--max-ahead none`, the second the
default. Broker, worker, generator and trainer are separate processes.

The load model's answers do not depend on the seeds' content, so this measures the delay of the feedback, not its value.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from consumers.report import report
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.settings import Settings, environment_of, load
from schemas.events import TrainingLogged
from schemas.policy import policy_for
from schemas.seeds import parse_seed_lines
from streams.core.decider import first_classifier

KEPT = 10_000
STEPS_A_SECOND = 4.0
IN_FLIGHT = 4
_SIDES: tuple[tuple[str, tuple[str, ...]], ...] = (("--max-ahead none", ("--max-ahead", "none")), ("default", ()))
_LIMIT_S = 1800

Step = Callable[..., None]


@dataclass(frozen=True)
class Side:
    """One run, until the end of its generator.

    before_first_window   rows kept before the first training window was logged
    replaced_pool         share of generations that sampled a pool with a replaced seed
    new_seed              share of generations that were shown a replacement seed
    borrowed              share of trained rows in another cluster's slot
    wall_s                duration of the generator
    waited_s              waiting time, by reason
    """

    name: str
    kept: int
    generations: int
    before_first_window: int
    replaced_pool: float
    new_seed: float
    seeds_replaced: int
    steps: int
    borrowed: float
    wall_s: float
    waited_s: dict[str, float]


def measure(kept: int, steps_a_second: float, step: Step) -> list[Side]:
    """Run both, one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="sedi-bench-") as folder,
        temporary_broker(load(state_dir=Path(folder)), short_lived=False) as broker,
    ):
        sides = []
        for number, (name, arguments) in enumerate(_SIDES):
            step(f"{name}, to {kept} kept")
            sides.append(_side(broker.settings, f"bench-loop-{number}", name, arguments, kept, steps_a_second))
    return sides


def show(console: Console, found: list[Side]) -> None:
    """The figures as text."""
    table = Table("", *(side.name for side in found), title="How soon training is heard")
    rows: Sequence[tuple[str, Callable[[Side], str]]] = (
        ("rows kept", lambda side: f"{side.kept:,}"),
        ("generations", lambda side: f"{side.generations:,}"),
        ("rows kept before the first training window", lambda side: f"{side.before_first_window:,}"),
        ("generations from a pool with a replaced seed", lambda side: f"{side.replaced_pool:.1%}"),
        ("generations that were shown one", lambda side: f"{side.new_seed:.1%}"),
        ("seeds replaced", lambda side: f"{side.seeds_replaced:,}"),
        ("steps trained by then", lambda side: f"{side.steps:,}"),
        ("of their rows, borrowed", lambda side: f"{side.borrowed:.1%}"),
        ("wall time, s", lambda side: f"{side.wall_s:.0f}"),
        ("the generator waited for training, s", lambda side: f"{side.waited_s.get('trainer', 0.0):.0f}"),
        ("… for the filter, s", lambda side: f"{side.waited_s.get('filter', 0.0):.0f}"),
    )
    for name, cell in rows:
        table.add_row(name, *(cell(side) for side in found))
    console.print(table)


def write_json(path: Path, found: list[Side]) -> None:
    """All results."""
    path.write_text(json.dumps([asdict(side) for side in found], indent=2) + "\n", encoding="utf-8")


def _side(settings: Settings, run: str, name: str, arguments: Sequence[str], kept: int, steps_a_second: float) -> Side:
    policy = policy_for()
    text = (files("producers") / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8")
    seeds = parse_seed_lines(text.split("\n"), "the project's seed tasks")
    configure_run(settings, run, policy, seeds, {}, classifier=first_classifier(policy, seeds))
    sedi = [sys.executable, "-m", "sedi"]
    environment = {**os.environ, **environment_of(settings), "SEDI_BACKEND": "load-model"}
    generate = [
        *sedi,
        "generate",
        "--run",
        run,
        "--max-kept",
        str(kept),
        "--in-flight",
        str(IN_FLIGHT),
        "--json",
        *arguments,
    ]
    trainer = [sys.executable, "-m", "benchmarks.stub_trainer", run, str(steps_a_second)]
    log = settings.state_dir / f"{run}.log"
    with _beside([*sedi, "worker", "--run", run], environment, log), _beside(trainer, environment, log):
        began = time.monotonic()
        with log.open("ab") as output:
            done = subprocess.run(
                generate, env=environment, stdout=subprocess.PIPE, stderr=output, timeout=_LIMIT_S, check=False
            )
        wall_s = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"The generator ended with {done.returncode}: {log.read_text()[-2000:]}")
        found = report(KafkaSource(settings, run))
        before, rows, borrowed = _trained(settings, run, policy.clusters)
    return Side(
        name=name,
        kept=found.kept,
        generations=found.generations,
        before_first_window=before,
        replaced_pool=found.after_replacement_share or 0.0,
        new_seed=found.with_replacement_seed_share or 0.0,
        seeds_replaced=found.replacements,
        steps=found.steps,
        borrowed=borrowed / rows if rows else 0.0,
        wall_s=wall_s,
        waited_s=json.loads(done.stdout)["waited_s"],
    )


@contextmanager
def _beside(command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process that runs until the context ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _trained(settings: Settings, run: str, clusters: int) -> tuple[int, int, int]:
    """Rows kept before the first window was logged, trained rows, and how many of these were borrowed."""
    with LogReader(settings, run, ["training-log", "kept"]) as reader:
        records = list(reader.read_to_end())
    windows = [record for record in records if isinstance(record.event, TrainingLogged)]
    first_ms = min((record.timestamp_ms for record in windows), default=None)
    kept = [record for record in records if record.topic == "kept"]
    before = sum(first_ms is None or record.timestamp_ms < first_ms for record in kept)
    rows = [row for record in windows for step in record.event.steps for row in step.rows]  # type: ignore[union-attr]
    return before, len(rows), sum(row.is_borrowed(clusters) for row in rows)
