"""How evenly each vectorizer and classifier fills the clusters: the share of rows that strict batches can use.

Texts come in order, and the classifier is refitted at its marks, as in a run. A strict batch takes one row of each of
16 clusters, so of n rows 16 times those of the smallest cluster can be used. Texts are the instructions of a JSON file:
a list of strings, or of rows in Alpaca's format.
"""

import gzip
import json
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from infra.models.embeddings import embedder_for
from schemas.policy import Policy, policy_for
from schemas.seeds import parse_seed_lines
from streams.core.cluster_fit import fit, marks_passed, refit_due
from streams.core.clusters import ClusterModel

Step = Callable[..., None]

AT = (256, 1_000, 2_000, 10_000)
POLICIES: tuple[dict[str, Any], ...] = (
    {"classifier": "literal"},
    {"classifier": "nested", "refit_from": 256, "refit_growth": 2.0},
    {"classifier": "balanced"},
)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`usable`: the share of the first rows that strict batches can use; `seconds`: of fitting and clustering."""

    vectorizer: str
    classifier: str
    rows: int
    usable: dict[int, float]
    fits: int
    seconds: float


def measure(path: Path, rows: int, vectorizers: Sequence[str], step: Step) -> list[Result]:
    """Raises ConfigurationError for a vectorizer whose model is not installed."""
    texts = read(path)[:rows]
    cases = [policy_for(vectorizer=name, **fields) for name in vectorizers for fields in POLICIES]
    found = []
    for number, policy in enumerate(cases):
        step(f"{policy.vectorizer}, {policy.classifier}", number, len(cases))
        found.append(_measure(policy, texts))
    step("done", len(cases), len(cases))
    return found


def read(path: Path) -> list[str]:
    """The instructions in a file, which may be gzipped."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [row if isinstance(row, str) else str(row["instruction"]) for row in json.loads(raw)]


def _measure(policy: Policy, texts: Sequence[str]) -> Result:
    lines = (files("producers") / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8").split("\n")
    seeds = [seed.instruction for seed in parse_seed_lines(lines, "the project's seed tasks")]
    embedder = embedder_for(policy)
    started = time.perf_counter()
    if embedder is not None:
        embedder(texts)  # in batches, which is faster; they are cached
    model = ClusterModel(fit(seeds, policy, embedder=embedder), embedder)
    sizes, passed, fits = [0] * policy.clusters, 0, 0
    usable: dict[int, float] = {}
    for count, text in enumerate(texts, start=1):
        sizes[model.cluster(text)] += 1
        if count in AT:
            usable[count] = policy.clusters * min(sizes) / count
        if refit_due(policy, count, passed):
            model = ClusterModel(fit(texts[:count], policy, sizes, embedder), embedder)
            passed, fits = marks_passed(policy, count), fits + 1
    return Result(
        vectorizer=policy.vectorizer,
        classifier=policy.classifier,
        rows=len(texts),
        usable=usable,
        fits=fits,
        seconds=time.perf_counter() - started,
    )


def show(console: Console, found: list[Result]) -> None:
    table = Table(title=f"Share of the first rows that strict batches of 16 can use ({found[0].rows:,} rows)")
    at = sorted({count for result in found for count in result.usable})
    for column in ("vectoriser", "classifier", *(f"{count:,}" for count in at), "fits", "seconds"):
        table.add_column(column, justify="right" if column not in ("vectoriser", "classifier") else "left")
    for result in found:
        shares = (f"{100 * result.usable[count]:.1f} %" for count in at)
        table.add_row(result.vectorizer, result.classifier, *shares, str(result.fits), f"{result.seconds:.1f}")
    console.print(table)


def write_json(path: Path, found: list[Result]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
