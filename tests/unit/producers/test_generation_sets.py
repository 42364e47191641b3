"""Generation benchmarks as sets of prompts: both forms of Super-NaturalInstructions, and LongForm's."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from infra.tables import read_table
from producers.evaluation.longform import read_longform
from producers.evaluation.superni import read_superni
from schemas.errors import ConfigurationError

EXAMPLES = [
    {"input": "one", "output": "1", "explanation": "A digit."},
    {"input": "two", "output": ["2", "II"], "explanation": ""},
    {"input": "three", "output": "3", "explanation": ""},
]
TASK: dict[str, Any] = {
    "Categories": ["Arithmetic", "Numbers"],
    "Definition": ["Write the number as digits."],
    "Positive Examples": EXAMPLES,
    "Instances": [{"id": f"task7-{n}", "input": f"number {n}", "output": [f"{n}", f"{n}."]} for n in range(30)],
}
EARLY: dict[str, Any] = {
    "Categories": "Spelling",
    "Definition": "Spell the word.",
    "Positive Examples": EXAMPLES[:1],
    "Instances": [{"input": "cat", "output": "c a t"}, {"input": "ox", "output": ["o x", "o x", " "]}],
}


def write(folder: Path, name: str, task: object) -> Path:
    file, raw = folder / name, json.dumps(task, indent=1 if name.endswith(".json") else None).encode()
    file.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return file


def test_both_forms_are_one_set_with_categories_and_every_output_as_a_reference(tmp_path: Path) -> None:
    write(tmp_path, "task007_digits.test.json.gz", TASK)
    write(tmp_path, "task007_digits.train.json.gz", {"broken": "and not read"})
    write(tmp_path, "task8_spelling.first1000.json", EARLY)
    (tmp_path / "definitions.jsonl").write_text("not a task")
    said: list[str] = []
    found = read_superni(tmp_path, say=said.append)
    assert (found.name, found.shots, len(found.prompts)) == ("superni", 0, 32)
    first, last = found.prompts[0], found.prompts[-1]
    assert (first.id, first.group, first.instruction) == ("task7-0", "Arithmetic", "Write the number as digits.")
    assert (first.input, first.references) == ("number 0", ("0", "0."))
    assert (last.id, last.group, last.instruction) == ("task8_spelling-2", "Spelling", "Spell the word.")
    assert (last.input, last.references) == ("ox", ("o x",))
    (line,) = said
    assert line.startswith("1 files in")


def test_two_shots_show_two_solved_examples_and_not_the_instances_own_answer(tmp_path: Path) -> None:
    write(tmp_path, "task7.json", TASK)
    write(tmp_path, "task8.json", EARLY)
    said: list[str] = []
    found = read_superni(tmp_path, shots=2, say=said.append)
    text = found.prompts[5].instruction
    places = [text.index(part) for part in ("digits.", "Input: one\nOutput: 1\n", "Input: two\nOutput: 2\n")]
    assert places == sorted(places)
    assert "three" not in text
    assert "number 5" not in text
    assert found.shots == 2
    assert said == ["1 tasks have fewer than 2 positive examples, and are asked with those: task8 (1)."]
    with pytest.raises(ConfigurationError, match="0 to 2"):
        read_superni(tmp_path, shots=3)


def test_a_sample_is_always_the_same_and_part_of_a_larger_one(tmp_path: Path) -> None:
    file = write(tmp_path, "task7.json", TASK)
    few, more = ([prompt.id for prompt in read_superni(file, per_task=n).prompts] for n in (5, 12))
    assert (len(few), len(more)) == (5, 12)
    assert set(few) < set(more)
    assert few != [f"task7-{n}" for n in range(5)], "not the first ones"
    TASK_BACKWARDS = {**TASK, "Instances": TASK["Instances"][::-1]}
    backwards = read_superni(write(tmp_path, "task7.json", TASK_BACKWARDS), per_task=5)
    assert sorted(prompt.id for prompt in backwards.prompts) == sorted(few)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Instances": []}, "task7.json has no instances"),
        ({"Instances": [{"input": "x", "output": []}]}, "task7.json: instance 1 has no output"),
        ({"Instances": [{"input": "x", "output": [7]}]}, "task7.json: `output` holds 7"),
        ({"Instances": ["x"]}, "task7.json: `Instances` must be a list of objects"),
        ({"Instances": [TASK["Instances"][0]] * 2}, "task7.json: the instance id 'task7-0' is a duplicate"),
        ({"Positive Examples": [EXAMPLES[0], {"input": "x"}]}, "task7.json: positive example 2 has no output"),
        ({"Definition": [" "]}, "task7.json: `Definition` is missing or empty"),
    ],
)
def test_a_task_that_cannot_be_asked_is_named_with_its_file(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write(tmp_path, "task7.json", TASK | change)
    with pytest.raises(ConfigurationError, match=message):
        read_superni(tmp_path)


def test_a_folder_or_file_without_a_task_to_choose_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no task files"):
        read_superni(tmp_path)
    with pytest.raises(ConfigurationError, match="no task of Super-NaturalInstructions"):
        read_superni(write(tmp_path, "task7.train.json", {"Definition": "x"}))
    write(tmp_path, "task7.first1000.json", TASK)
    with pytest.raises(ConfigurationError, match=r"2 files of task7 .*none is its test part"):
        read_superni(tmp_path)


def test_longform_has_the_text_as_reference_and_where_it_is_from_as_group(tmp_path: Path) -> None:
    file = tmp_path / "longform.jsonl"
    rows = [{"input": "Describe fog.", "output": "Fog is cloud.", "source": "C4"}, {"input": "Why?", "output": "So."}]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = read_longform(file)
    assert [(p.id, p.instruction, p.input, p.group, p.references) for p in found.prompts] == [
        ("1", "Describe fog.", "", "C4", ("Fog is cloud.",)),
        ("2", "Why?", "", "", ("So.",)),
    ]
    file.write_text(f"{json.dumps(rows[0])}\n" + '{"input": "Why?", "output": " "}')
    with pytest.raises(ConfigurationError, match=r"longform.jsonl, line 2: `output` is missing or empty"):
        read_longform(file)


def test_the_published_files_are_read(data: Path) -> None:
    folder = data / "superni"
    tasks = {file.name.split(".")[0] for file in folder.glob("task*.json.gz")}
    found = read_superni(folder, shots=2, per_task=5)
    assert len(found.prompts) == 5 * len(tasks) > 0
    assert all(prompt.group and prompt.references and prompt.input for prompt in found.prompts)
    for file in folder.glob("*.test.json.gz"):
        assert len(read_superni(file).prompts) == len(read_table(file)[0].fields["Instances"])
