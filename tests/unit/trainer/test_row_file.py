"""Files of rows: what is read of them, and how a file that cannot be used is refused."""

import json
from pathlib import Path

import pytest

from consumers.trainer.data.row_file import read_rows
from schemas.errors import ConfigurationError
from schemas.events import Instruction

ROWS = [
    {"instruction": "Add.", "input": "1, 2", "output": "3"},
    {"instruction": "Say ü\n\n[no]", "input": "", "output": "ü", "id": 7},
]
READ = (Instruction(instruction="Add.", input="1, 2", output="3"), Instruction(instruction="Say ü\n\n[no]", output="ü"))


def written(folder: Path, text: str) -> Path:
    path = folder / "rows.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [json.dumps(ROWS, indent=4), "\n".join(map(json.dumps, ROWS)) + "\n\n"])
def test_an_array_and_lines_read_the_same(tmp_path: Path, text: str) -> None:
    assert read_rows(written(tmp_path, text)) == READ
    assert read_rows(tmp_path / "rows.json", 1) == READ[:1]


def test_rows_without_an_output_are_left_out_and_reported_with_their_places(tmp_path: Path) -> None:
    lines: list[str] = []
    rows = [*ROWS, *({"instruction": "Nothing.", "output": blank} for blank in ("", " \n", None, "", ""))]
    path = written(tmp_path, "\n".join(map(json.dumps, rows)))
    assert read_rows(path, say=lines.append) == READ
    assert lines == [f"5 of 7 rows of {path} have no output and are left out: line 3, line 4, line 5, …."]


def test_a_file_in_which_no_row_has_an_output_is_refused_with_the_fields_that_it_has(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps([{"instruction": "Add.", "reply": "3"}] * 4))
    with pytest.raises(ConfigurationError, match=r"No row of .*4 rows.*row 1.*`instruction`, `reply`.*`output`"):
        read_rows(path)


def test_conversations_that_go_on_are_reported(tmp_path: Path) -> None:
    lines: list[str] = []
    turns = [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]
    path = written(tmp_path, json.dumps([{"messages": turns}, {"messages": turns[:2]}]))
    assert read_rows(path, say=lines.append) == (Instruction(instruction="user", output="assistant"),) * 2
    assert lines == [f"1 conversations of {path} go on after the first question and answer; only these are used."]


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_rows(tmp_path / "none.json")
