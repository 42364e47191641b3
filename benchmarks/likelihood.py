"""Questions per second of our log-likelihoods beside lm-evaluation-harness, and how far the values differ.

Both have the same loaded model, in fp32, and one thread; each takes a chunk of the questions in turn, so that whatever
else runs on the machine slows both. Tokenization is included, reading of the data is not. CPU seconds are given beside
wall time: on a shared machine they are the fairer measure.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from consumers.evaluation.benchmarks.data import read_benchmark
from consumers.evaluation.benchmarks.encoding import prompted
from consumers.evaluation.benchmarks.tasks import BenchmarkQuestion
from infra.models.likelihood.engine import LikelihoodEngine
from infra.settings import load
from producers.backends.builtin.model import safetensors_folder
from streams.core.evaluation.likelihood import chosen

QUESTIONS = 100
SUBJECTS_OF_FIVE = 4
HARNESS_BATCH = 8  # choices at once; larger ones are no faster on a CPU
_CHUNK = 20

Step = Callable[..., None]


@dataclass
class Speed:
    """Seconds of one side."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@dataclass
class Compared:
    """One set of questions on both sides.

    largest_difference   of two log-likelihoods of one choice, in nats
    other_choices        questions of which the likeliest choice differs, with and without length normalisation
    """

    name: str
    questions: int
    ours: Speed
    harness: Speed
    largest_difference: float
    other_choices: int

    @property
    def ratio(self) -> float:
        """How many times as many questions a second of wall time."""
        return self.harness.wall_s / self.ours.wall_s

    @property
    def cpu_ratio(self) -> float:
        return self.harness.cpu_s / self.ours.cpu_s


def data_folder() -> Path:
    """Where the questions are: `$SEDI_DATA/eval_mc`, or beside the checkout."""
    return Path(os.environ.get("SEDI_DATA", "../shared/data")) / "eval_mc"


def measure(questions: int, folder: Path, step: Step) -> list[Compared]:
    """Both sides on ARC easy and challenge (so many questions each), HellaSwag (a fifth), and MMLU."""
    from lm_eval.models.huggingface import HFLM

    engine = LikelihoodEngine(safetensors_folder(load().cache_dir, step), device="cpu", precision="fp32", threads=1)
    harness: Any = HFLM(
        pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=HARNESS_BATCH, max_length=engine.max_length
    )
    return [_compare(name, asked, engine, harness, step) for name, asked in _sets(questions, folder)]


def _sets(questions: int, folder: Path) -> Iterator[tuple[str, list[BenchmarkQuestion]]]:
    yield "ARC easy", _asked("arc_easy", folder, limit=questions)
    yield "ARC challenge", _asked("arc_challenge", folder, limit=questions)
    yield "MMLU, 1 a subject", _asked("mmlu", folder, per_subject=1)
    five = _asked("mmlu", folder, per_subject=5)
    yield f"MMLU, 5 a subject, {SUBJECTS_OF_FIVE} subjects", five[: 5 * SUBJECTS_OF_FIVE]
    yield "HellaSwag", _asked("hellaswag", folder, limit=max(1, questions // 5))


def _asked(task: str, folder: Path, **sample: int) -> list[BenchmarkQuestion]:
    return [each for each in read_benchmark(task, folder, **sample).questions if isinstance(each, BenchmarkQuestion)]


def _compare(
    name: str, questions: list[BenchmarkQuestion], engine: LikelihoodEngine, harness: Any, step: Step
) -> Compared:
    found = Compared(name, len(questions), Speed(), Speed(), 0.0, 0)
    for start in range(0, len(questions), _CHUNK):
        chunk = questions[start : start + _CHUNK]
        step(name, start, len(questions))
        with _timed(found.ours):
            ours = _ours(engine, chunk)
        with _timed(found.harness):
            theirs = _harness(harness, chunk)
        for question, one, other in zip(chunk, ours, theirs, strict=True):
            difference = max(abs(a - b) for a, b in zip(one, other, strict=True))
            found.largest_difference = max(found.largest_difference, difference)
            found.other_choices += chosen(one, question.choices) != chosen(other, question.choices)
    step(
        f"{name}: {found.ratio:.2f} times as fast, {found.cpu_ratio:.2f} by CPU time, values within "
        f"{found.largest_difference:.1e}, {found.other_choices} other choices"
    )
    return found


def _ours(engine: LikelihoodEngine, questions: list[BenchmarkQuestion]) -> list[tuple[float, ...]]:
    asked = prompted(questions, engine.tokenizer, "chat", engine.max_length)
    found: dict[int, tuple[float, ...]] = {}
    for batch in engine.measure([each.tokens for each in asked]):
        found.update(batch)
    return [found[place] for place in range(len(questions))]


def _harness(harness: Any, questions: list[BenchmarkQuestion]) -> list[tuple[float, ...]]:
    from lm_eval.api.instance import Instance

    pairs = [(each.prompt, f" {choice}") for each in questions for choice in each.choices]
    requests = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(pairs)]
    values = iter(value for value, _ in harness.loglikelihood(requests, disable_tqdm=True))
    return [tuple(next(values) for _ in each.choices) for each in questions]


@contextmanager
def _timed(speed: Speed) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    speed.wall_s += time.perf_counter() - wall
    speed.cpu_s += time.process_time() - cpu


def show(console: Console, found: list[Compared]) -> None:
    """The figures as text."""
    table = Table(
        "questions",
        "",
        "ours, questions/s",
        "lm-eval",
        "ratio",
        "ratio of CPU time",
        "largest difference",
        "other choice",
    )
    for each in found:
        table.add_row(
            each.name,
            str(each.questions),
            f"{each.questions / each.ours.wall_s:.2f}",
            f"{each.questions / each.harness.wall_s:.2f}",
            f"{each.ratio:.2f}",
            f"{each.cpu_ratio:.2f}",
            f"{each.largest_difference:.1e}",
            str(each.other_choices),
        )
    console.print(table)


def write_json(path: Path, found: list[Compared]) -> None:
    """All results."""
    document = [asdict(each) | {"ratio": each.ratio, "cpu_ratio": each.cpu_ratio} for each in found]
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
