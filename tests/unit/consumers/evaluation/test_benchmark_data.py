"""Questions are read in the forms in which the data sets are to be had, and sampled by their ids alone."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consumers.evaluation.benchmarks.data import HeldOutText, read_benchmark, read_held_out
from consumers.evaluation.benchmarks.tasks import BenchmarkQuestion
from schemas.errors import ConfigurationError

ARC = {"question": "What is wet?", "choices": ["Sand", "Rain", "Iron"], "answer": 1}
ARC_HUB = {
    "id": "X_1",
    "question": "What is wet?",
    "choices": {"text": ["Sand", "Rain", "Iron"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}
HELLASWAG_HUB = {
    "activity_label": "Running",
    "ctx_a": "A man [substeps] runs.",
    "ctx_b": "he Then",
    "ctx": "not used",
    "endings": ["stops.", " [title] sits  down."],
    "label": "1",
}


def mmlu(subject: str, number: int) -> dict[str, Any]:
    return {"subject": subject, "question": f"{number}?", "choices": ["a", "b", "c", "d"], "answer": number % 4}


def write(folder: Path, name: str, *rows: dict[str, Any]) -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def asked(task: str, folder: Path, **sample: Any) -> list[BenchmarkQuestion]:
    questions = list(read_benchmark(task, folder, **sample).questions)
    assert all(isinstance(each, BenchmarkQuestion) for each in questions)
    return questions  # type: ignore[return-value]


def test_both_forms_of_arc_are_the_same_questions(tmp_path: Path) -> None:
    (ours,) = asked("arc_easy", write(tmp_path, "arc_easy_test.jsonl", ARC))
    (hub,) = asked("arc_challenge", write(tmp_path, "arc_challenge_test.jsonl", ARC_HUB))
    assert ours == hub
    assert (ours.prompt, ours.choices, ours.source.gold) == (
        "Question: What is wet?\nAnswer:",
        ("Sand", "Rain", "Iron"),
        1,
    )


def test_a_hellaswag_with_joined_contexts_is_named_so(tmp_path: Path) -> None:
    joined = {"ctx": "Running: A man runs. he Then", "endings": ["stops.", "sits down."], "label": 1}
    found = read_benchmark("hellaswag", write(tmp_path, "hellaswag_val.jsonl", HELLASWAG_HUB))
    other = read_benchmark("hellaswag", write(tmp_path, "hellaswag_val.jsonl", joined))
    assert (found.benchmark.form, other.benchmark.form) == ("published", "joined context")
    assert found.benchmark.key != other.benchmark.key
    assert [each.prompt for each in (*found.questions, *other.questions) if isinstance(each, BenchmarkQuestion)] == [
        "Running: A man runs. He then",
        "Running: A man runs. he Then",
    ]
    assert isinstance(found.questions[0], BenchmarkQuestion)
    assert found.questions[0].choices == ("stops.", " sits down.")


def test_mmlu_is_asked_after_five_solved_examples_of_its_subject(tmp_path: Path) -> None:
    subjects = ("high_school_physics", "law")
    write(tmp_path, "mmlu_test.jsonl", mmlu("high_school_physics", 7), mmlu("law", 8))
    write(tmp_path, "mmlu_dev.jsonl", *(mmlu(subject, n) for n in range(6) for subject in subjects))
    first, second = asked("mmlu", tmp_path)
    assert first.prompt.startswith(
        "The following are multiple choice questions (with answers) about high school physics.\n\n"
        "0?\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\n1?\n"
    )
    assert first.prompt.endswith("4?\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\n7?\nA. a\nB. b\nC. c\nD. d\nAnswer:")
    assert first.prompt.endswith(first.question)
    assert (first.id, first.group, first.choices, first.source.gold) == (
        "high_school_physics/0",
        "high_school_physics",
        ("A", "B", "C", "D"),
        3,
    )
    assert second.id == "law/0"
    write(tmp_path, "mmlu_test.jsonl", {**mmlu("law", 8), "choices": list(map(str, range(11)))})
    with pytest.raises(ConfigurationError, match="there are 11 `choices`, and 10 have letters"):
        asked("mmlu", tmp_path)
    write(tmp_path, "mmlu_test.jsonl", mmlu("law", 8))
    before = read_benchmark("mmlu", tmp_path).benchmark
    write(tmp_path, "mmlu_dev.jsonl", *(mmlu(subject, n) for n in range(5) for subject in subjects))
    assert read_benchmark("mmlu", tmp_path).benchmark.key != before.key  # other examples are other prompts


def test_a_sample_is_part_of_a_larger_one_and_names_itself(tmp_path: Path) -> None:
    rows = [mmlu(subject, number) for subject, size in (("a", 30), ("b", 4)) for number in range(size)]
    write(tmp_path, "mmlu_test.jsonl", *rows)
    write(tmp_path, "mmlu_dev.jsonl", *(mmlu(subject, n) for n in range(5) for subject in "ab"))
    small, large, other = (
        read_benchmark("mmlu", tmp_path, per_subject=size, seed=seed) for size, seed in ((5, 0), (9, 0), (5, 1))
    )
    assert {each.id for each in small.questions} < {each.id for each in large.questions}
    assert {each.id for each in small.questions} != {each.id for each in other.questions}
    assert [each.group for each in small.questions] == ["a"] * 5 + ["b"] * 4
    assert (small.sample, other.sample) == ("5 a subject, seed 0", "5 a subject, seed 1")
    assert small.group_sizes == {"a": 30, "b": 4}
    assert read_benchmark("mmlu", tmp_path, per_subject=30, limit=1).sample == ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"choices": ["a", "b"], "answer": 0}, "line 2: `question` is missing"),
        ({**ARC, "choices": ["one"]}, "line 2: `choices` is no list of two texts"),
        ({**ARC, "answer": 3}, "line 2: `answer` is 3, which is the place of none of the 3 choices"),
        ({**ARC, "answer": None}, "line 2: `answer` is None"),
        ({**ARC, "answer": "9" * 5_000}, "line 2: `answer` is '9999"),
        ({**ARC_HUB, "answerKey": "9"}, "line 2: `answerKey` is '9', and the 3 choices have the labels 1, 2, 3"),
        ({**ARC, "row": 0}, "line 2: question 0 is also at line 1"),
    ],
)
def test_a_wrong_row_is_named_with_its_place(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    write(tmp_path, "arc_easy_test.jsonl", ARC, row)
    with pytest.raises(ConfigurationError) as raised:
        read_benchmark("arc_easy", tmp_path)
    assert message in str(raised.value)
    assert str(tmp_path / "arc_easy_test.jsonl") in str(raised.value)


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    write(tmp_path, "mmlu_test.jsonl", mmlu("law", 0))
    write(tmp_path, "arc_easy_test_a.jsonl", ARC)
    write(tmp_path, "arc_easy_test_b.jsonl", ARC)
    (tmp_path / "hellaswag_val.jsonl").write_text("\n")
    for task, message in {
        "arc_challenge": "arc_challenge_test*",
        "arc_easy": "several: arc_easy_test_a.jsonl, arc_easy_test_b.jsonl",
        "hellaswag": "has no rows",
        "mmlu": "mmlu_dev*",
        "boolq": "There is no task 'boolq'",
    }.items():
        with pytest.raises(ConfigurationError) as raised:
            read_benchmark(task, tmp_path)
        assert message in str(raised.value)
    write(tmp_path, "mmlu_dev.jsonl", *(mmlu("law", n) for n in range(4)))
    with pytest.raises(ConfigurationError, match="5 solved examples of each subject, and law has 4"):
        read_benchmark("mmlu", tmp_path)


def test_without_a_folder_the_hub_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[Any, ...]] = []

    def load_dataset(path: str, name: str | None, split: str) -> list[dict[str, Any]]:
        called.append((path, name, split))
        if path == "Rowan/hellaswag":
            raise ConnectionError("no route to it")
        return [ARC_HUB]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = read_benchmark("arc_easy", None)
    assert (len(found.questions), called) == (1, [("allenai/ai2_arc", "ARC-Easy", "test")])
    with pytest.raises(ConfigurationError, match=r"no route to it.*--data"):
        read_benchmark("hellaswag", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigurationError, match=r"--data, or install the part \[eval\]"):
        read_benchmark("arc_easy", None)


def test_held_out_rows_without_an_output_are_left_out_and_reported(tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {n}", "output": f"{n}" if n % 3 else ""} for n in range(9)]
    write(tmp_path, "rows.jsonl", *rows)
    lines: list[str] = []
    found = read_held_out(tmp_path / "rows.jsonl", 4, say=lines.append)
    assert (len(found.questions), found.group_sizes, found.sample) == (4, {"": 6}, "4 questions, seed 0")
    assert all(isinstance(each, HeldOutText) and each.row.output for each in found.questions)
    assert "3 of 9 rows" in lines[0]


def test_the_public_data_are_read_whole(data: Path) -> None:
    folder = data / "eval_mc"
    found = {name: read_benchmark(name, folder) for name in ("arc_easy", "arc_challenge", "hellaswag", "mmlu")}
    assert {name: len(each.questions) for name, each in found.items()} == {
        "arc_easy": 1188,
        "arc_challenge": 586,
        "hellaswag": 7542,
        "mmlu": 7032,
    }
    assert {name: each.benchmark.form for name, each in found.items()} == {
        "arc_easy": "published",
        "arc_challenge": "published",
        "hellaswag": "joined context",
        "mmlu": "published",
    }
    assert len(found["mmlu"].group_sizes) == 57
    assert len(read_benchmark("mmlu", folder, per_subject=5).questions) == 285
