"""A study's words are checked before anything starts, and its result names the runs that there are."""

from pathlib import Path

import pytest

from sedi.eval.studies.options import SIZES, StudyOptions, default_sides
from sedi.eval.studies.plans import trained_sides
from sedi.main import main


def test_the_runs_of_a_study_are_those_that_its_commands_make() -> None:
    for name, runs in (
        ("table1", ["s-self-instruct", "s-sedi"]),
        ("table2", ["s-self-instruct-small", "s-self-instruct-large", "s-sedi-small", "s-sedi-large"]),
    ):
        options = StudyOptions(
            name=name,  # type: ignore[arg-type]
            size=SIZES["demo"],
            sides=default_sides(),
            data=None,
            output=Path("out"),
            prefix="s",
        )
        assert [options.run_of(side.name) for side in trained_sides(options)] == runs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fig10", "--output", "FILE"), "Give another --output"),
        (("fig10", "--side", "a=sedi", "--side", "a=self-instruct"), "Two sides have one name"),
    ],
)
def test_words_that_cannot_be_followed_are_an_error(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = str(tmp_path / "file")
    assert main(["eval", "study", *(place if word == "FILE" else word for word in words)]) == 2
    assert message in capsys.readouterr().err
