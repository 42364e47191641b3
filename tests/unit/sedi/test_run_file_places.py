"""Each key of a TOML text is found where it stands."""

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedi.run_file.places import TextPlace, key_places, syntax_place


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a = 1", {"a": (1, 1)}),
        ("\n  a = 1 # b = 2\n\tc=3\n", {"a": (2, 3), "c": (3, 2)}),
        ("[train]\nlr = 1\n# lr = 2\n[ judge ]\nlr = 3", {"train": (1, 2), "train.lr": (2, 1), "judge.lr": (5, 1)}),
        ("policy.mode = 'x'\npolicy . threshold = 1", {"policy": (1, 1), "policy.threshold": (2, 10)}),
        ('"quoted key" = 1\n\'a.b\' = 2\n"\\u0061" = 3', {"quoted key": (1, 1), "a.b": (2, 1), "a": (3, 1)}),
        ('rules = [\n  "a", # b = 1\n  "]",\n]\nx = 1', {"rules": (1, 1), "x": (5, 1)}),
        ("train = {lr = 1, 'max' = [2, {a = 3}]}", {"train.lr": (1, 10), "train.max": (1, 18), "train.max.a": (1, 31)}),
        ('a = """\nb = 1\n"quoted" \\"""\n"""\nb = 2', {"a": (1, 1), "b": (5, 1)}),
        ("a = '''\nb = 1\n''''\nb = 2", {"b": (4, 1)}),
        ('a = """x""""\nb = ""\nc = 1', {"b": (2, 1), "c": (3, 1)}),
        ("a = 'x # \"'\r\nb = 1\r\n", {"b": (2, 1)}),
        ("[[many]]\na = 1\n[[many]]\na = 2", {"many": (1, 3), "many.a": (2, 1)}),
        ("[a.b]\nc = 1\n[a]\nd = 2", {"a": (1, 2), "a.b": (1, 4), "a.d": (4, 1)}),
        ("a = 1979-05-27 07:32:00\nb = -inf", {"b": (2, 1)}),
    ],
)
def test_a_key_is_found_by_line_and_column(text: str, places: dict[str, tuple[int, int]]) -> None:
    tomllib.loads(text)
    found = {".".join(path): (place.line, place.column) for path, place in key_places(text).items()}
    assert found.items() >= places.items()


NAMES = st.text("ab.\"'=#[]é\n", min_size=1, max_size=4)
SCALARS = st.integers() | st.booleans() | st.text("ab\"'=#[]{},\\\n", max_size=6)
TABLES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3), max_size=3),
    lambda inner: st.dictionaries(NAMES, SCALARS | inner, max_size=3),
    max_leaves=8,
)


def written(table: dict[str, Any], names: tuple[str, ...] = ()) -> str:
    """The table as TOML, in lines and headers."""
    quoted = [msgspec.json.encode(name).decode() for name in names]
    lines = [f"[{' . '.join(quoted)}]  # a comment = 1"] if names else []
    lines += [f"  {_json(name)} = {_json(value)}" for name, value in table.items() if not isinstance(value, dict)]
    inner = [written(value, (*names, name)) for name, value in table.items() if isinstance(value, dict)]
    return "\n".join([*lines, *inner])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def paths(table: dict[str, Any], names: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = {(*names, name) for name in table}
    return found.union(*(paths(value, (*names, name)) for name, value in table.items() if isinstance(value, dict)))


@given(TABLES)
def test_every_key_of_a_table_is_found_and_no_other(table: dict[str, Any]) -> None:
    text = written(table)
    assert tomllib.loads(text) == table
    places = key_places(text)
    assert set(places) == paths(table)
    lines = text.split("\n")
    for path, place in places.items():
        here = lines[place.line - 1][place.column - 1 :]
        assert here.startswith(_json(path[-1])), (path, place)


@pytest.mark.parametrize(
    ("text", "line", "column"), [("a = 1\nb = \n", 2, 5), ("a = [1,\n", 2, 1), ("a = 1\na = 2\n", 2, 6), ("x", 1, 2)]
)
def test_a_text_that_is_not_toml_is_placed_too(text: str, line: int, column: int) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as raised:
        tomllib.loads(text)
    place, what = syntax_place(raised.value, text)
    assert place == TextPlace(line, column)
    assert what and "line" not in what
