"""Seed files of one's own: what is installed is checked, and found again by name or path."""

import json
from pathlib import Path

import pytest

from infra.settings import Settings, load
from schemas.errors import ConfigurationError
from sedi.main import main
from sedi.seed_files import find, install


def line(id: str, instruction: str = "Say hello", *, classification: bool = False) -> str:
    task = {
        "id": id,
        "name": id,
        "instruction": instruction,
        "instances": [{"input": "", "output": "hello"}],
        "is_classification": classification,
    }
    return json.dumps(task, ensure_ascii=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(state_dir=tmp_path / "state")


def test_an_installed_file_is_found_by_its_name(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(f"{line('a')}\n{line('b', classification=True)}\n", encoding="utf-8")

    installed = install(settings, file)

    assert (installed.name, installed.seeds, installed.classification) == ("mine", 2, 1)
    assert [seed.id for seed in find(settings, "mine")] == ["a", "b"]


def test_a_file_is_found_by_its_path_too(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line("a"), encoding="utf-8")

    assert [seed.id for seed in find(settings, str(file))] == ["a"]


def test_a_text_may_hold_any_separator_that_json_allows(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line("a", "one\u2028two\x85three"), encoding="utf-8")

    install(settings, file)

    assert find(settings, "mine")[0].instruction == "one\u2028two\x85three"


def test_other_seeds_of_the_same_name_are_kept_unless_replaced(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line("a"), encoding="utf-8")
    install(settings, file)
    install(settings, file)  # the same again is no harm
    file.write_text(line("b"), encoding="utf-8")

    with pytest.raises(ConfigurationError, match="There are other seeds named 'mine'"):
        install(settings, file)
    assert [seed.id for seed in find(settings, "mine")] == ["a"]

    install(settings, file, replace=True)
    assert [seed.id for seed in find(settings, "mine")] == ["b"]


def test_a_line_that_is_no_seed_is_told_by_its_number_and_nothing_is_installed(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(f"{line('a')}\nhello\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"mine\.jsonl, line 2: not a seed task"):
        install(settings, file)
    with pytest.raises(ConfigurationError, match="installed are none"):
        find(settings, "mine")


@pytest.mark.parametrize("name", ["../evil", "", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(settings: Settings, tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line("a"), encoding="utf-8")

    with pytest.raises(ConfigurationError, match="will not do"):
        install(settings, file, name)


def test_the_classic_file_is_installed_by_the_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (data / "seeds").glob("*.jsonl")

    code = main(["seeds", "import", str(file), "--name", "classic", "--state-dir", str(tmp_path), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == 175
