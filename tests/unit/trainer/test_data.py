"""Files of rows: what is read of them, and what is said of a file that will not do."""

import json
from pathlib import Path

import pytest

from consumers.trainer.data import read_rows
from schemas.errors import ConfigurationError
from schemas.events import Instruction

ROWS = [
    {"instruction": "Add.", "input": "1, 2", "output": "3"},
    {"instruction": "Say ü\n\n[no]", "input": "", "output": "ü", "id": 7},
    {"instruction": "Nothing."},
]
READ = (
    Instruction(instruction="Add.", input="1, 2", output="3"),
    Instruction(instruction="Say ü\n\n[no]", output="ü"),
    Instruction(instruction="Nothing."),
)


def written(folder: Path, text: str) -> Path:
    path = folder / "rows.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [json.dumps(ROWS, indent=4), "\n".join(map(json.dumps, ROWS)) + "\n\n"])
def test_an_array_and_lines_read_the_same(tmp_path: Path, text: str) -> None:
    assert read_rows(written(tmp_path, text)) == READ
    assert read_rows(tmp_path / "rows.json", 2) == READ[:2]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[]", "has no rows"), ("", "has no rows"), ("[1]", "not a file of rows"), ('{"input": "x"}', "line 1"),
     ('{"instruction": "x"}\n{"instruction"', "line 2"), ('[{"instruction": 3}]', "not a file of rows")],
)  # fmt: skip
def test_a_file_that_will_not_do_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_rows(written(tmp_path, text))


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_rows(tmp_path / "none.json")
