"""Seed files of one's own: what is installed is checked, and found again by name or path."""

import gzip
import json
from pathlib import Path

import pytest

from infra.settings import Settings, load
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask
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

    with pytest.raises(ConfigurationError, match=r"mine\.jsonl, line 2: not JSON"):
        install(settings, file)
    with pytest.raises(ConfigurationError, match="installed are none"):
        find(settings, "mine")


def test_seeds_come_in_any_form_that_rows_come_in(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv.gz"
    file.write_bytes(gzip.compress(b'\xef\xbb\xbfQuestion;Answer\r\nAdd 1; 2\r\n\r\n"Say ""a""";a\r\n'))

    install(settings, file)

    assert find(settings, "mine") == (
        SeedTask(id="seed_1", instruction="Add 1", output=" 2"),
        SeedTask(id="seed_2", instruction='Say "a"', output="a"),
    )


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (line("a"), r"line 2: seed id 'a' is a duplicate"),
        ('{"id": "b", "instruction": "Do"}', r"line 2: seed 'b' has no output. Fields found: `id`, `instruction`"),
        ('{"id": "b", "instruction": "Do", "instances": []}', "line 2: `instances` has no instance"),
        ('{"task": "Do", "result": "done"}', r"line 2: no instruction is found. Fields found: `task`, `result`"),
    ],
)
def test_a_row_that_is_no_seed_is_refused_with_its_place(
    settings: Settings, tmp_path: Path, second: str, said: str
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(f"{line('a')}\n{second}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=said):
        install(settings, file)


@pytest.mark.parametrize("name", ["../evil", "", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(settings: Settings, tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line("a"), encoding="utf-8")

    with pytest.raises(ConfigurationError, match="is invalid"):
        install(settings, file, name)


def test_the_classic_file_is_installed_by_the_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (data / "seeds").glob("*.jsonl")

    code = main(["seeds", "import", str(file), "--name", "classic", "--state-dir", str(tmp_path), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == 175
