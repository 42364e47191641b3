"""The words that name a model mean what they say, and a wrong one is an error that says what to write."""

from pathlib import Path

import pytest

from infra.settings import Settings
from schemas.errors import ConfigurationError
from sedi.eval.model_source import model_source


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("gpt-4.1.jsonl", "gpt-4.1"),
        ("a.b.JSON.gz", "a.b"),
        ("c.csv", "c"),
        (".jsonl", ".jsonl"),
        ("lr=1e-4.jsonl", "lr=1e-4"),
    ],
)
def test_a_file_of_answers_is_named_by_all_of_its_name_but_the_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, name: str
) -> None:
    (tmp_path / file).write_text("{}")
    monkeypatch.chdir(tmp_path)
    found = model_source(file, Settings(state_dir=tmp_path), print)
    assert (found.model.name, found.model.kind, found.model.source) == (name, "file", file)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("endpoint:", "endpoint:MODEL"),
        ("mine=endpoint: ", "endpoint:MODEL"),
        ("run:demo@", "names no step"),
        ("run:demo@last", "names no step"),
        ("nowhere.jsonl", "no file of answers"),
        ("nowhere", "names no model"),
    ],
)
def test_words_that_name_no_model_are_an_error(tmp_path: Path, words: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        model_source(words, Settings(state_dir=tmp_path), print)
