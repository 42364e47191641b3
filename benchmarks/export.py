"""`sedi export` of a large run on a real broker: rows per second, and the peak memory of the exporting process.

The run is written first, with `LogWriter`: generations of twenty instructions with their answers, of which the filter
kept sixteen, spread over sixteen partitions. Texts are Alpaca's instructions, if available, and outputs of random words
from it. The export is a separate process and writes all formats.
"""

import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.texts import source
from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker, temporary_broker
from infra.log.writer import LogWriter
from infra.settings import load
from schemas import ids
from schemas.events import (
    CallAnswered,
    Event,
    Instruction,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    Rejection,
    RunConfigured,
    Usage,
)
from schemas.policy import policy_for
from schemas.seeds import SeedTask

ROWS = 250_000  # a million are for --export-rows 1000000: making the run takes most of the time
RUN = "bench"
FORMATS = ("alpaca", "sharegpt", "openai", "trl", "parquet")
_CLUSTERS = 16
_INSTRUCTIONS = 20
_KEPT = 16
_SEEDS = 175
_POOL = 20_000  # texts to draw from; a number makes each row's instruction unique
_AHEAD = 2_000  # generations between two waits for confirmation
_SEED = 20230313

Step = Callable[..., None]

# The child reports its own peak: the kernel's account of a parent's children may show the parent's size, which a child
# has between fork and exec.
_CHILD = """
import json, resource, sys, time
from sedi.main import main
began = time.monotonic()
code = main(sys.argv[1:])
try:
    lines = open("/proc/self/status").read().splitlines()
    peak_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
except OSError:
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
usage = resource.getrusage(resource.RUSAGE_SELF)
seconds = time.monotonic() - began
print(json.dumps({"peak_kib": peak_kib, "seconds": seconds, "cpu_s": usage.ru_utime + usage.ru_stime}), file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Exported:
    """One export, as measured.

    peak_mb    largest resident set of the exporting process, 10^6 bytes
    cpu_s      processor time of that process, all its threads
    files      bytes by name
    """

    input: str
    rows: int
    generations: int
    partitions: int
    formats: tuple[str, ...]
    write_s: float
    seconds: float
    rows_per_s: float
    cpu_s: float
    peak_mb: float
    files: dict[str, int]


def measure(rows: int, step: Step, formats: tuple[str, ...] = FORMATS) -> Exported:
    """Write a run of about so many kept rows, export it, and measure that."""
    generations = -(-rows // _KEPT)
    texts = source()
    with tempfile.TemporaryDirectory(prefix="sedi-bench-") as folder:
        settings = load(state_dir=Path(folder))
        with temporary_broker(settings, short_lived=False) as broker:
            began = time.monotonic()
            _make(broker, generations, texts.first(_POOL), texts.words, step)
            write_s = time.monotonic() - began
            step(f"exporting {generations * _KEPT:,} rows")
            manifest, used = _export(broker, Path(folder) / "data", formats)
    seconds = float(used["seconds"])
    return Exported(
        input=texts.name,
        rows=manifest["rows"],
        generations=generations,
        partitions=_CLUSTERS,
        formats=formats,
        write_s=write_s,
        seconds=seconds,
        rows_per_s=manifest["rows"] / seconds,
        cpu_s=float(used["cpu_s"]),
        peak_mb=used["peak_kib"] * 1024 / 1e6,
        files={file["name"]: file["bytes"] for file in manifest["files"]},
    )


def show(console: Console, found: Exported) -> None:
    """The figures as text."""
    table = Table("rows", "rows/s", "s", "s of processor time", "peak MB", "MB written", title="sedi export")
    table.add_row(
        f"{found.rows:,}",
        f"{found.rows_per_s:,.0f}",
        f"{found.seconds:.1f}",
        f"{found.cpu_s:.1f}",
        f"{found.peak_mb:.0f}",
        f"{sum(found.files.values()) / 1e6:,.0f}",
    )
    console.print(table)
    console.print(f"{', '.join(found.formats)} from {found.partitions} partitions; {found.input}")


def write_json(path: Path, found: Exported) -> None:
    """All results, with the environment."""
    machine = {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("kafka-python", "msgspec", "polars")},
    }
    document = {"machine": machine, **asdict(found)}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _export(broker: TemporaryBroker, target: Path, formats: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    command = ["export", str(target), "--run", RUN, "--bootstrap-servers", broker.bootstrap, "--json"]
    for name in formats:
        command += ["--format", name]
    ended = subprocess.run([sys.executable, "-c", _CHILD, *command], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"the export ended with {ended.returncode}: {ended.stderr}")
    return json.loads(ended.stdout), json.loads(ended.stderr.splitlines()[-1])


def _make(broker: TemporaryBroker, generations: int, texts: list[str], words: list[str], step: Step) -> None:
    settings = broker.settings
    apply(settings, RUN, _CLUSTERS)
    rng = random.Random(_SEED)
    answers = [" ".join(rng.choices(words, k=round(rng.lognormvariate(3.6, 0.6)))) for _ in range(_POOL)]
    with LogWriter(settings, RUN, "bench") as log:
        seeds = tuple(SeedTask(id=f"seed-{n}", instruction=texts[n], output=answers[n]) for n in range(_SEEDS))
        configured = RunConfigured(run=RUN, policy=policy_for(batch_size=_CLUSTERS), seeds=seeds, versions={})
        log.write(configured, key=RUN, id=ids.run_id(RUN))
        last: dict[tuple[type[Event], int], Any] = {}
        for number, events in enumerate(_generations(generations, texts, answers, rng)):
            for event, id, partition in events:
                last[type(event), partition] = log.send(event, key=id, id=id, partition=partition)
            if number % _AHEAD == 0 or number == generations - 1:
                for pending in last.values():
                    log.wait(pending)
                step("writing the run to export", number, generations)


def _generations(
    count: int, texts: list[str], answers: list[str], rng: random.Random
) -> Iterator[list[tuple[InstructionsGenerated | InstructionKept | InstructionsRejected, str, int]]]:
    for number in range(count):
        generation = ids.generation_id("main", number)
        tasks = tuple(
            Instruction(instruction=f"{rng.choice(texts)} ({number}.{place})", output=rng.choice(answers))
            for place in range(_INSTRUCTIONS)
        )
        kept = [
            InstructionKept(
                id=ids.instruction_id(generation, place),
                instruction=task.instruction,
                input=task.input,
                output=task.output,
                generation_id=generation,
                generated_offset=number,
                place=place,
                cluster=rng.randrange(_CLUSTERS),
                classifier_offset=0,
            )
            for place, task in enumerate(tasks[:_KEPT])
        ]
        rejected = InstructionsRejected(
            generation_id=generation,
            generated_offset=number,
            rejections=tuple(
                Rejection(
                    id=ids.instruction_id(generation, place),
                    place=place,
                    reason="similar",
                    similarity=0.9,
                    nearest_id=kept[0].id,
                    threshold=0.85,
                )
                for place in range(_KEPT, _INSTRUCTIONS)
            ),
            generated=_INSTRUCTIONS,
            kept=_KEPT,
            generated_total=(number + 1) * _INSTRUCTIONS,
            kept_total=(number + 1) * _KEPT,
        )
        yield [
            (_generated(number, generation, tasks, rng), generation, 0),
            *((row, row.id, row.cluster) for row in kept),
            (rejected, ids.verdict_id(number), 0),
        ]


def _generated(
    number: int, generation: str, tasks: tuple[Instruction, ...], rng: random.Random
) -> InstructionsGenerated:
    raw = "\n".join(
        f"{place}. Instruction: {task.instruction}\nOutput: {task.output}" for place, task in enumerate(tasks)
    )
    answer = CallAnswered(
        request_id=ids.request_id(generation, 0),
        attempt=1,
        model="bench-model",
        raw=raw,
        finish_reason="stop",
        usage=Usage(prompt_tokens=600, completion_tokens=1500),
        cost_usd=0.001,
        latency_s=1.0,
    )
    return InstructionsGenerated(
        lane="main",
        number=number,
        style="alpaca",
        parser="faithful",
        backend="openai",
        model="bench-model",
        parameters={"temperature": 1.0},
        seed_ids=tuple(f"seed-{rng.randrange(_SEEDS)}" for _ in range(3)),
        seed_commands_offset=-1,
        answers=(answer,),
        instructions=tasks,
        unparsed=(),
        cost_usd=0.001,
    )
