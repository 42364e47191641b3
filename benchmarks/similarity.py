"""The similarity index against what it replaces, in one process, on the same texts.

Measured: milliseconds per decision of each method at several sizes; the index's growth in time and memory; the time to
rebuild it after a restart, and the longest `add`; and its worst cases against `extract`.
"""

import gc
import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from benchmarks import methods, texts
from benchmarks.memory import held
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.rouge_scores import full_scores

SIZES = (1_000, 10_000, 25_000, 50_000)
GROWTH = (50_000, 100_000, 200_000, 500_000)
RECOVERED = 100_000
THRESHOLDS = (0.7, 0.85)

_QUERIES = {"rouge_score": 2, "tokens": 3, "extract": 40, "cdist": methods.BATCH, "index": 2000}
_HARD_QUERIES = 25

Step = Callable[[str], None]


@dataclass
class Results:
    """The results; ms are CPU time per decision."""

    input: str
    decisions: list[dict[str, object]] = field(default_factory=list)
    growth: list[dict[str, object]] = field(default_factory=list)
    recovery: list[dict[str, object]] = field(default_factory=list)
    hard_cases: list[dict[str, object]] = field(default_factory=list)


def measure(sizes: Sequence[int], growth: Sequence[int], recovered: int, step: Step) -> Results:
    """Measure everything; `step` is called with each next step."""
    source = texts.source()
    results = Results(input=source.name)
    longest = max([*sizes, recovered], default=0)
    step("texts")
    stream = source.first(longest + _QUERIES["index"])
    for size in sizes:
        for threshold in THRESHOLDS:
            results.decisions.append(_decisions(stream, size, threshold, step))
    for name, make in _HARD.items():
        for threshold in THRESHOLDS:
            step(f"hard case: {name}, {threshold}")
            results.hard_cases.append(_hard_case(name, make, threshold))
    if recovered:
        for threshold in THRESHOLDS:
            results.recovery.append(_recovery(stream[:recovered], threshold, step))
    for threshold in THRESHOLDS:
        results.growth.extend(_growth(growth, threshold, step))
    return results


def _decisions(stream: list[str], size: int, threshold: float, step: Step) -> dict[str, object]:
    kept = stream[:size]
    coded = methods.Coded(kept)
    index = methods.index_of(kept, threshold)

    def following(way: str) -> list[str]:
        return stream[size : size + _QUERIES[way]]

    row: dict[str, object] = {"kept": size, "threshold": threshold}
    ways: dict[str, Callable[[], float]] = {
        "rouge_score": lambda: methods.milliseconds(methods.rouge_score(kept, threshold), following("rouge_score")),
        "tokens": lambda: methods.milliseconds(methods.rouge_score_tokens(kept, threshold), following("tokens")),
        "extract": lambda: methods.milliseconds(methods.extract(coded, threshold), following("extract"), repeats=3),
        "cdist": lambda: methods.milliseconds_batched(methods.cdist(coded), following("cdist"), repeats=2),
        "index": lambda: methods.milliseconds(index.nearest_above, following("index"), repeats=5),
    }
    for name, run in ways.items():
        step(f"{size:,} kept, {threshold}: {name}")
        row[name] = run()
    return row


def _growth(sizes: Sequence[int], threshold: float, step: Step) -> list[dict[str, object]]:
    """One index that grows through all sizes; its memory includes the ids, which are as long as real ones."""
    stream = texts.source().stream()
    index = RougeLIndex(threshold)
    rows: list[dict[str, object]] = []
    for size in sorted(sizes):
        step(f"growth: {size:,} kept, {threshold}")
        left = range(len(index), size)
        index.extend((str(uuid.UUID(int=n)), text, (n, 0)) for n, text in zip(left, stream, strict=False))
        queries = list(islice(stream, _QUERIES["index"]))
        ms = methods.milliseconds(index.nearest_above, queries, repeats=5)
        rows.append({"kept": size, "threshold": threshold, "ms": ms, "bytes_an_item": held(index) / size})
    return rows


def exponent(growth: Sequence[dict[str, object]], threshold: float) -> float | None:
    """b in ms = a * kept ** b, between the smallest and the largest size."""
    rows = [row for row in growth if row["threshold"] == threshold]
    if len(rows) < 2:
        return None
    (n0, t0), (n1, t1) = ((float(str(r["kept"])), float(str(r["ms"]))) for r in (rows[0], rows[-1]))
    return math.log(t1 / t0) / math.log(n1 / n0)


def _recovery(kept: list[str], threshold: float, step: Step) -> dict[str, object]:
    step(f"recovery: {len(kept):,} kept, {threshold}, at once")
    reports: list[int] = []
    index = RougeLIndex(threshold)
    wall, cpu = time.perf_counter(), time.process_time()
    index.extend(((str(place), text, (place, 0)) for place, text in enumerate(kept)), progress=reports.append)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    step(f"recovery: {len(kept):,} kept, {threshold}, one by one")
    index = RougeLIndex(threshold)
    # The garbage collector must not traverse the benchmark's own objects.
    gc.collect()
    gc.freeze()
    longest_wall = longest_cpu = 0.0
    start = time.process_time()
    for place, text in enumerate(kept):
        add_wall, add_cpu = time.perf_counter(), time.thread_time()
        index.add(str(place), text, (place, 0))
        longest_cpu = max(longest_cpu, time.thread_time() - add_cpu)
        longest_wall = max(longest_wall, time.perf_counter() - add_wall)
    one_by_one = time.process_time() - start
    gc.unfreeze()
    return {
        "kept": len(kept),
        "threshold": threshold,
        "at_once_s": wall,
        "at_once_cpu_s": cpu,
        "progress_reports": len(reports),
        "one_by_one_cpu_s": one_by_one,
        "longest_add_ms": 1000 * longest_wall,
        "longest_add_cpu_ms": 1000 * longest_cpu,
    }


_HARD: dict[str, Callable[[], list[str]]] = {
    "100 tokens, 60 words": partial(texts.long_repetitive, 10_000, 100),
    "300 tokens, 60 words": partial(texts.long_repetitive, 10_000, 300),
    "800 tokens, 60 words": partial(texts.long_repetitive, 3_000, 800),
    "everything similar": partial(texts.all_similar, 20_000),
    "eight words": partial(texts.tiny_vocabulary, 20_000),
}


def _hard_case(name: str, make: Callable[[], list[str]], threshold: float) -> dict[str, object]:
    made = make()
    kept, queries = made[:-_HARD_QUERIES], made[-_HARD_QUERIES:]
    index = methods.index_of(kept, threshold)
    extract = methods.extract(methods.Coded(kept), threshold)
    scores = full_scores(queries, kept, nearest=1)
    nearest = [(each.maximum, str(each.nearest[0][0])) if each.maximum > threshold else None for each in scores]
    if nearest != [index.nearest_above(query) for query in queries]:
        raise AssertionError(f"The index is wrong on {name!r} at {threshold}; mend it before measuring it.")
    return {
        "case": name,
        "kept": len(kept),
        "threshold": threshold,
        "extract": methods.milliseconds(extract, queries, repeats=5),
        "index": methods.milliseconds(index.nearest_above, queries, repeats=5),
    }
