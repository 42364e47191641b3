"""lm-evaluation-harness on a loaded model: the reference that our own engine is measured against.

Our task files (`harness/*.yaml`) say how a question is asked, in the harness's terms; the questions go to it as JSON
Lines in a temporary folder, so nothing is fetched. Its samples are read, not its table. A prompt that differs from ours
is an error: the two engines must ask the same.
"""

import io
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml

from consumers.evaluation.benchmarks import harness
from consumers.evaluation.benchmarks.data import BenchmarkData
from consumers.evaluation.benchmarks.encoding import Prompted
from consumers.evaluation.benchmarks.engines import Likelihoods
from consumers.evaluation.benchmarks.tasks import BenchmarkQuestion
from infra.models.likelihood.engine import LikelihoodEngine
from infra.models.templates import Template
from schemas.errors import ConfigurationError, TrainerError

FORMS = {"arc_easy": "question", "arc_challenge": "question", "hellaswag": "story", "mmlu": "lettered"}
"""The task file of each task."""

_AT_ONCE = 100  # questions that are written to the log together
_BATCH = 8  # choices computed at once


class HarnessLikelihoods(Likelihoods):
    """The harness's engine; `loaded` holds model and tokenizer."""

    def __init__(self, loaded: LikelihoodEngine, template: Template) -> None:
        os.environ["HF_DATASETS_OFFLINE"] = "1"  # before datasets is imported
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        from lm_eval.models.huggingface import HFLM

        super().__init__(loaded, template)
        self._model: Any = HFLM(
            pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=_BATCH, max_length=loaded.max_length
        )
        self.name = f"lm-eval {version('lm-eval')}"

    def measure(self, data: BenchmarkData, questions: Sequence[Prompted]) -> Iterator[Mapping[int, tuple[float, ...]]]:
        made_of = {(each.prompt, each.choices): each for each in data.questions if isinstance(each, BenchmarkQuestion)}
        longest = self._loaded.max_length + 1
        for start in range(0, len(questions), _AT_ONCE):
            asked = questions[start : start + _AT_ONCE]
            self._cut += sum(
                len(each.tokens.prefix) + max(map(len, each.tokens.continuations)) > longest for each in asked
            )
            samples = self.samples(data.benchmark.name, [made_of[each.prompt, each.choices] for each in asked])
            yield {start + place: values for place, values in enumerate(_read(samples, asked))}

    def samples(self, task: str, questions: Sequence[BenchmarkQuestion]) -> list[dict[str, Any]]:
        """The harness's samples of questions, in their order."""
        from lm_eval.api.task import ConfigurableTask
        from lm_eval.evaluator import evaluate

        with tempfile.TemporaryDirectory(prefix="sedi-harness-") as folder:
            path = Path(folder) / "questions.jsonl"
            rows = [asdict(each.source) | {"examples": list(map(asdict, each.examples))} for each in questions]
            path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
            config = yaml.safe_load(files(harness).joinpath(f"{FORMS[task]}.yaml").read_text(encoding="utf-8"))
            config |= {
                "task": task,
                "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(Path(folder) / "cache")},
            }
            with redirect_stderr(io.StringIO()):  # its progress bars, one for each stage of each batch
                task_made = ConfigurableTask(config=config)
                found = evaluate(self._model, {task: task_made}, bootstrap_iters=0, log_samples=True)
        if found is None:
            raise TrainerError("lm-evaluation-harness gave no results. Measure with --engine direct.")
        return sorted(found["samples"][task], key=lambda sample: int(sample["doc_id"]))


def _read(samples: Sequence[Mapping[str, Any]], asked: Sequence[Prompted]) -> Iterator[tuple[float, ...]]:
    for sample, ours in zip(samples, asked, strict=True):
        prompts, choices = zip(*((each[0], each[1]) for each in requests_of(sample)), strict=True)
        if set(prompts) != {ours.prompt} or choices != tuple(f" {choice}" for choice in ours.choices):
            raise ConfigurationError(
                f"lm-evaluation-harness asks the question that begins with {ours.question[:60]!r} in another way. "
                "Install the version that requirements.txt pins, or measure with --engine direct."
            )
        yield tuple(float(value) for value, _ in sample["filtered_resps"])


def requests_of(sample: Mapping[str, Any]) -> list[Sequence[str]]:
    """(prompt, continuation) of each choice of a sample."""
    return [request.args if hasattr(request, "args") else request for request in sample["arguments"]]
