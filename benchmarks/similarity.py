"""The similarity index beside what it replaces, in one process, on the same texts.

Measured: milliseconds a decision of every way at several sizes; how the index grows, in time and memory; how long it
takes to fill it again after a restart, and the longest an `add` stands still; and its worst cases beside `extract`.
"""

import gc
import itertools
import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import psutil

from benchmarks import methods, texts
from streams.core.similarity import RougeLIndex

SIZES = (1_000, 10_000, 25_000, 50_000)
GROWTH = (50_000, 100_000, 200_000, 500_000)
RECOVERED = 100_000
THRESHOLDS = (0.7, 0.85)

_QUERIES = {"rouge_score": 2, "tokens": 3, "extract": 40, "cdist": methods.BATCH, "index": 2000}
_HARD_QUERIES = 25

Step = Callable[[str], None]


@dataclass
class Results:
    """What was measured; ms are processor time a decision."""

    input: str
    decisions: list[dict[str, object]] = field(default_factory=list)
    growth: list[dict[str, object]] = field(default_factory=list)
    recovery: list[dict[str, object]] = field(default_factory=list)
    hard_cases: list[dict[str, object]] = field(default_factory=list)


def measure(sizes: Sequence[int], growth: Sequence[int], recovered: int, step: Step) -> Results:
    """Everything; `step` is told what comes next."""
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
    del stream
    for threshold in THRESHOLDS:
        for size in growth:
            step(f"growth: {size:,} kept, {threshold}")
            results.growth.append(_growth(source, size, threshold))
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


def _growth(source: texts.Source, size: int, threshold: float) -> dict[str, object]:
    gc.collect()
    before = psutil.Process().memory_info().rss
    index = RougeLIndex(threshold)
    # Texts are made as they are read and ids are as long as real ones, so the growth is the index's, ids included.
    stream = source.stream()
    index.extend((str(uuid.UUID(int=n)), text, (n, 0)) for n, text in enumerate(itertools.islice(stream, size)))
    gc.collect()
    after = psutil.Process().memory_info().rss
    queries = list(itertools.islice(stream, _QUERIES["index"]))
    ms = methods.milliseconds(index.nearest_above, queries, repeats=5)
    return {"kept": size, "threshold": threshold, "ms": ms, "bytes_an_item": (after - before) / size}


def exponent(growth: Sequence[dict[str, object]], threshold: float) -> float | None:
    """b in ms = a * kept ** b, between the smallest and the largest size."""
    rows = [row for row in growth if row["threshold"] == threshold]
    if len(rows) < 2:
        return None
    (n0, t0), (n1, t1) = ((float(str(r["kept"])), float(str(r["ms"]))) for r in (rows[0], rows[-1]))
    return math.log(t1 / t0) / math.log(n1 / n0)


def _recovery(kept: list[str], threshold: float, step: Step) -> dict[str, object]:
    step(f"recovery: {len(kept):,} kept, {threshold}, at once")
    told: list[int] = []
    items = [(str(place), text, (place, 0)) for place, text in enumerate(kept)]
    index = RougeLIndex(threshold)
    wall, cpu = time.perf_counter(), time.process_time()
    index.extend(items, progress=told.append)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    step(f"recovery: {len(kept):,} kept, {threshold}, one by one")
    index = RougeLIndex(threshold)
    start = time.process_time()
    pauses = sorted((_timed(partial(index.add, *item)) for item in items), reverse=True)
    return {
        "kept": len(kept),
        "threshold": threshold,
        "at_once_s": wall,
        "at_once_cpu_s": cpu,
        "progress_reports": len(told),
        "one_by_one_cpu_s": time.process_time() - start,
        "longest_add_ms": 1000 * max(wall for wall, _ in pauses),
        "longest_add_cpu_ms": 1000 * max(cpu for _, cpu in pauses),
    }


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.thread_time()
    run()
    return time.perf_counter() - wall, time.thread_time() - cpu


_HARD: dict[str, Callable[[], list[str]]] = {
    "long and repetitive": partial(texts.long_repetitive, 3_000),
    "everything similar": partial(texts.all_similar, 20_000),
    "eight words": partial(texts.tiny_vocabulary, 20_000),
}


def _hard_case(name: str, make: Callable[[], list[str]], threshold: float) -> dict[str, object]:
    made = make()
    kept, queries = made[:-_HARD_QUERIES], made[-_HARD_QUERIES:]
    index = methods.index_of(kept, threshold)
    extract = methods.extract(methods.Coded(kept), threshold)
    return {
        "case": name,
        "kept": len(kept),
        "threshold": threshold,
        "extract": methods.milliseconds(extract, queries, repeats=5),
        "index": methods.milliseconds(index.nearest_above, queries, repeats=5),
    }
