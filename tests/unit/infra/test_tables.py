"""Files in every format give the same rows; an invalid file is refused with its line."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from infra.tables import read_table, read_tasks
from schemas.errors import ConfigurationError

ROWS = [
    {"instruction": "Add, then\nsay.", "input": "1; 2", "output": 'a "b"'},
    {"instruction": "Say ü\u2028x\x85y", "input": "", "output": "ü"},
]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


def csv_of(delimiter: str) -> str:
    def cell(text: str) -> str:
        doubled = text.replace('"', '""')
        return f'"{doubled}"'

    head = delimiter.join(ROWS[0])
    return "\n".join([head, "", *(delimiter.join(map(cell, row.values())) for row in ROWS)]) + "\n"


FORMS = {
    "lines.jsonl": LINES.encode(),
    "blank.jsonl": f"\n{LINES}\n \n\n".encode(),
    "crlf.jsonl": LINES.replace("\n", "\r\n").encode(),
    "bom.jsonl": b"\xef\xbb\xbf" + LINES.encode(),
    "array.json": b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=2).encode(),
    "array.jsonl": json.dumps(ROWS).encode(),
    "no-suffix": LINES.encode(),
    "rows.csv": csv_of(",").encode(),
    "rows.txt": csv_of(";").encode(),
    "rows.tsv": csv_of("\t").encode(),
    "bom.csv": b"\xef\xbb\xbf" + csv_of(",").encode(),
    "lines.jsonl.gz": gzip.compress(LINES.encode()),
    "gzipped-without-its-name.jsonl": gzip.compress(LINES.encode()),
    "rows.csv.gz": gzip.compress(csv_of(";").encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_text_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    assert [row.fields for row in read_table(tmp_path / name)] == ROWS


def test_a_csv_with_crlf_keeps_the_line_breaks_in_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'instruction,output\r\n"a\nb",c\r\n\r\nd,e\r\n')
    assert [(row.place, *row.fields.values()) for row in read_table(path)] == [
        ("line 2", "a\nb", "c"),
        ("line 5", "d", "e"),
    ]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"instruction,output\nSay,{'x' * 200_000}\n")
    assert len(read_table(path)[0].fields["output"]) == 200_000


def test_parquet_gives_the_rows_and_their_lists(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame(ROWS).write_parquet(path)
    assert [row.fields for row in read_table(path)] == ROWS
    turns = [{"role": "user", "content": "Ask"}, {"role": "assistant", "content": "Told"}]
    pl.DataFrame({"messages": [turns], "score": [None]}).write_parquet(path)
    assert [(task.place, task.task.instruction, task.task.output) for task in read_tasks(path)] == [
        ("row 1", "Ask", "Told")
    ]


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Pi", "output": 3.14159265358979323846}\n{"instruction": "1", "output": [1.50]}')
    assert [task.task.output for task in read_tasks(path)] == ["3.14159265358979323846", "[1.50]"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "has no rows"),
        ("a.json", b"[]", "has no rows"),
        ("a.csv", b"instruction,output\n", "has no rows"),
        ("a.json", b"[1]", "row 1: a row must be a JSON object"),
        ("a.jsonl", LINES.encode() + b'\n\n{"instruction"', "line 4: not JSON"),
        ("a.jsonl", b"hello", "line 1: not JSON"),
        ("a.jsonl", b'{"a": NaN}', "line 1: not JSON"),
        ("a.jsonl", b'{"a": "\\ud800"}', "line 1: not JSON"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}', "line 2: not UTF-8 text .*0xff"),
        ("a.csv", b"instruction,output\na,b\nc,d,e\n", "line 3: 3 cells, and the header has 2: instruction, output"),
        ("a.csv", b'instruction,output\na,"b', "line 2: not CSV"),
        ("a.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], "cannot be read"),
        ("a.gz", b"\x1f\x8bnothing", "cannot be read"),
        ("a.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("a.json", b'{\n "data": [\n  {}\n ]\n}', "row 1: no instruction is found. Fields found: `data`"),
        ("a.txt", b"Dear diary\nToday\n", "Fields found: `Dear diary`"),
    ],
)
def test_what_is_no_file_of_rows_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as error:
        read_tasks(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_table(path)
