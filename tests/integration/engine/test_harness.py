"""Prompts, choices and log-likelihoods are those of lm-evaluation-harness, of its own tasks and on our questions."""

import json
from pathlib import Path
from typing import Any

import pytest

from consumers.evaluation.benchmarks.data import BenchmarkData, read_benchmark
from consumers.evaluation.benchmarks.engines import DirectLikelihoods
from consumers.evaluation.benchmarks.harness_engine import HarnessLikelihoods
from consumers.evaluation.benchmarks.tasks import BenchmarkQuestion
from infra.models.likelihood.engine import LikelihoodEngine
from schemas.errors import ConfigurationError
from streams.core.evaluation.likelihood import chosen

pytest.importorskip("lm_eval", reason="the part [eval] is not installed")

TASKS = {
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "mmlu": "mmlu/default/mmlu_us_foreign_policy.yaml",
}


def arc(number: int) -> dict[str, Any]:
    labels = ["1", "2", "3"] if number % 2 else ["A", "B", "C", "D", "E"]
    texts = [f" {number} is {label} " for label in labels]
    return {
        "question": f"Which of {number}?\nSay: ",
        "choices": {"text": texts, "label": labels},
        "answerKey": labels[number % 3],
    }


def story(number: int) -> dict[str, Any]:
    return {
        "activity_label": "Cutting [header] Hair ",
        "ctx_a": f" A man [step] cuts {number}  [title]times.",
        "ctx_b": "" if number % 2 else "he Then NODS",
        "endings": ["[title] stops.", "goes [substeps] on.", " cuts  again,   twice.", "é."],
        "label": str(number % 4),
    }


def lettered(number: int) -> dict[str, Any]:
    return {
        "subject": "us_foreign_policy",
        "question": f" What is {number}?\n ",
        "choices": [str(number), " b", "c ", "d"],
        "answer": number % 4,
    }


ROWS = {"arc_easy": arc, "arc_challenge": arc, "hellaswag": story, "mmlu": lettered}
FILES = {"hellaswag": ("hellaswag_val.jsonl", "validation")}


@pytest.fixture(scope="module")
def loaded(tiny_folder: Path) -> LikelihoodEngine:
    return LikelihoodEngine(tiny_folder, device="cpu", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def harness(loaded: LikelihoodEngine) -> HarnessLikelihoods:
    return HarnessLikelihoods(loaded, "chat")


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def own_requests(task: str, splits: dict[str, str], cache: Path) -> list[list[tuple[str, str]]]:
    """(prompt, continuation) of each choice of each question, of the harness's installed task on these files."""
    from lm_eval import tasks
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    config = dict(load_yaml(Path(tasks.__path__[0]) / TASKS[task]))
    for name in ("dataset_name", "tag", "task_alias"):
        config.pop(name, None)
    for name in ("training_split", "validation_split", "test_split", "fewshot_split"):
        if config.get(name) not in splits:
            config.pop(name, None)
    config |= {"dataset_path": "json", "dataset_kwargs": {"data_files": splits, "cache_dir": str(cache)}}
    made = ConfigurableTask(config=config)
    shots = 5 if task == "mmlu" else 0
    found = []
    for doc in made.eval_docs:
        requests = made.construct_requests(doc, made.fewshot_context(doc, shots), metadata=(task, 0, 1))
        found.append([request.args for request in requests])
    return found


@pytest.mark.parametrize("task", TASKS)
def test_questions_are_asked_as_the_harness_s_own_tasks_ask_them(tmp_path: Path, task: str) -> None:
    name, split = FILES.get(task, (f"{task}_test.jsonl", "test"))
    splits = {split: write(tmp_path / name, [ROWS[task](number) for number in range(9, 14)])}
    if task == "mmlu":
        splits["dev"] = write(tmp_path / "mmlu_dev.jsonl", [lettered(number) for number in range(6)])
    ours = [
        [(each.prompt, f" {choice}") for choice in each.choices]
        for each in read_benchmark(task, tmp_path).questions
        if isinstance(each, BenchmarkQuestion)
    ]
    assert own_requests(task, splits, tmp_path / "cache") == ours
    assert len(ours) == 5


def both(
    data: BenchmarkData, loaded: LikelihoodEngine, harness: HarnessLikelihoods
) -> list[tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]]:
    """Choices of each question, our log-likelihoods, and the harness's."""
    direct = DirectLikelihoods(loaded, "chat")
    asked = direct.prompted(data.questions)
    found: list[dict[int, tuple[float, ...]]] = [{}, {}]
    for engine, values in zip((direct, harness), found, strict=True):
        for batch in engine.measure(data, asked):
            values.update(batch)
    return [(asked[at].choices, found[0][at], found[1][at]) for at in range(len(asked))]


def compare(found: list[tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]]) -> None:
    assert max(abs(a - b) for _, ours, theirs in found for a, b in zip(ours, theirs, strict=True)) < 1e-3
    assert [chosen(ours, choices) for choices, ours, _ in found] == [
        chosen(theirs, choices) for choices, _, theirs in found
    ]


def test_log_likelihoods_are_those_of_the_harness(
    data: Path, loaded: LikelihoodEngine, harness: HarnessLikelihoods
) -> None:
    cut = 0
    for task in ("arc_easy", "arc_challenge"):
        found = both(read_benchmark(task, data / "eval_mc", limit=100), loaded, harness)
        assert len(found) == 100
        compare(found)
    for task in ("hellaswag", "mmlu"):  # most exceed the small model's context
        before = loaded.cut
        compare(both(read_benchmark(task, data / "eval_mc", limit=20, per_subject=1), loaded, harness))
        cut += loaded.cut - before
    assert cut > 57


def test_a_harness_that_asks_otherwise_is_refused(
    data: Path, loaded: LikelihoodEngine, harness: HarnessLikelihoods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.evaluation.benchmarks.harness_engine.FORMS", {"arc_easy": "story"})
    with pytest.raises(ConfigurationError, match="in another way"):
        both(read_benchmark("arc_easy", data / "eval_mc", limit=2), loaded, harness)
