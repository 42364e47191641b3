"""The savings of the method: `sedi` against `self-instruct`, to the same number of kept rows, with the built-in model.

For each rng seed both runs have the same seed tasks, style and prices; `sedi` has its threshold, clusters and trainer,
`self-instruct` its own threshold and no trainer. Policies are the untuned defaults of the modes. Each run is archived
at its end and not repeated if its archive exists, so hours of work survive an interruption: `python -m benchmarks
saving --kept 1000 --rng 1,2,3`.

The built-in model samples its answers, so the same rng seed does not give the same run.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from rich.console import Console
from rich.table import Table

from consumers.compare import CostPerThousand, compare
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.archive import ArchiveSource
from infra.settings import Settings, environment_of, load

KEPT = 1000
RNG_SEEDS = (1, 2, 3)
MODES = ("self-instruct", "sedi")
USD_PER_1M = {"SEDI_USD_PER_1M_PROMPT_TOKENS": "0.5", "SEDI_USD_PER_1M_COMPLETION_TOKENS": "1.5"}
_TRAIN = ("--lr", "2e-5", "--max-length", "256", "--threads", "1", "--borrow-after", "3", "--checkpoint-every", "1000")
_AHEAD = 160  # rows: one window of ten batches of 16, so that the feedback comes in time

Step = Callable[..., None]


@dataclass(frozen=True)
class Pair:
    """Both runs of one rng seed at the kept rows of the shorter one; ratios are of `sedi` to the other."""

    rng_seed: int
    kept: int
    self_instruct: CostPerThousand
    sedi: CostPerThousand
    seeds_replaced: int


def measure(kept: int, rng_seeds: Sequence[int], folder: Path, step: Step) -> list[Pair]:
    """Run those without an archive in `folder`, one after the other, and compare all."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(rng_seed, mode) for rng_seed in rng_seeds for mode in MODES]
    missing = [pair for pair in wanted if not _archive(folder, *pair).exists()]
    if missing:
        with temporary_broker(load(state_dir=folder / "state"), short_lived=False) as broker:
            for rng_seed, mode in missing:
                step(f"{mode}, rng seed {rng_seed}, to {kept} kept")
                _make(broker.settings, folder, rng_seed, mode, kept)
    return [_pair(folder, rng_seed) for rng_seed in rng_seeds]


def show(console: Console, found: list[Pair]) -> None:
    """The figures as text."""
    table = Table(
        "rng seed",
        "mode",
        "kept",
        "generated",
        "yield",
        "calls",
        "calls/1,000",
        "tokens",
        "USD",
        "USD/1,000",
        "replaced",
        title="To the same number of kept, with the built-in model",
    )
    for pair in found:
        for name, spent in (("self-instruct", pair.self_instruct), ("sedi", pair.sedi)):
            table.add_row(
                str(pair.rng_seed),
                name,
                str(spent.kept),
                str(spent.generated),
                f"{spent.kept / spent.generated:.1%}",
                str(spent.calls),
                f"{spent.calls_per_1000_kept or 0:.1f}",
                str(spent.tokens),
                f"{spent.usd or 0:.4f}",
                f"{spent.usd_per_1000_kept or 0:.4f}",
                str(pair.seeds_replaced) if name == "sedi" else "",
            )
    console.print(table)
    for name in ("calls", "tokens", "usd"):
        saved = savings(found, name)
        spread = f", standard deviation {stdev(saved):.1%}" if len(saved) > 1 else ""
        console.print(f"{name} saved: mean {mean(saved):.1%} ({min(saved):.1%} to {max(saved):.1%}){spread}")


def savings(found: list[Pair], name: str) -> list[float]:
    """1 - ratio of the cost per kept row; negative if it cost more."""
    return [1.0 - getattr(pair.sedi, f"{name}_ratio") for pair in found]


def write_json(path: Path, found: list[Pair]) -> None:
    """All results."""
    document = [
        asdict(pair) | {"self_instruct": _plain(pair.self_instruct), "sedi": _plain(pair.sedi)} for pair in found
    ]
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _plain(spent: CostPerThousand) -> dict[str, object]:
    return {name: getattr(spent, name) for name in spent.__struct_fields__}


def _archive(folder: Path, rng_seed: int, mode: str) -> Path:
    return folder / f"{mode}-{rng_seed}"


def _make(settings: Settings, folder: Path, rng_seed: int, mode: str, kept: int) -> None:
    target = _archive(folder, rng_seed, mode)
    run = target.name
    more: list[str] = ["--no-trainer"]
    if mode == "sedi":
        more = [f"--train={word}" for word in _TRAIN] + ["--generate=--max-ahead", f"--generate={_AHEAD}"]
    sedi = [sys.executable, "-m", "sedi"]
    environment = {**os.environ, **environment_of(settings), **USD_PER_1M}
    began = time.monotonic()
    with (folder / f"{run}.log").open("wb") as log:
        for command in (
            [
                *sedi,
                "run",
                "--run",
                run,
                "--mode",
                mode,
                "--set",
                f"rng_seed={rng_seed}",
                "--max-kept",
                str(kept),
                *more,
            ],
            [*sedi, "archive", str(target), "--run", run, "--gzip"],
        ):
            subprocess.run(command, env=environment, stdout=log, stderr=log, check=True)
        log.write(f"{time.monotonic() - began:.0f} s\n".encode())


def _pair(folder: Path, rng_seed: int) -> Pair:
    found = compare([ArchiveSource(_archive(folder, rng_seed, mode)) for mode in MODES])
    baseline, sedi = found.at_common
    return Pair(
        rng_seed=rng_seed,
        kept=found.common_kept,
        self_instruct=baseline,
        sedi=sedi,
        seeds_replaced=sum(not seed.in_pool for seed in found.sides[1].seeds),
    )
