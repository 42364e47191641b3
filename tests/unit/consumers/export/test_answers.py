"""An export of answers holds each answer once, tells a text from none, and is read back as a model's answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.export.answers import ANSWER_FORMATS, AnswerExportOptions, export_answers
from consumers.export.manifest import AnswersManifest, differences, read_any_manifest, read_manifest
from infra.tables import read_tasks
from schemas.errors import ConfigurationError, RunError
from schemas.evaluation import AnswerGiven
from sedi.main import main
from sedi.options import ExitCode
from tests.golden import HERE
from tests.unit.consumers.evaluated_run import ASKED, FILED, MINE, RAWS, archived, evaluated_run, evaluation, given
from tests.unit.consumers.recorded_run import ToldRun, source_of, whole_run

ALL = AnswerExportOptions(formats=ANSWER_FORMATS)
TEXTS = ["Keep it in a cloth bag.", "", "In the middle of", "Water boils."]


@pytest.fixture
def story() -> ToldRun:
    """Two models' answers; one is on the log twice, one was refused, and one was given under a system prompt."""
    story = evaluated_run()
    story.again(next(story.events(AnswerGiven))[1])
    story.change(AnswerGiven, 5, outcome="refused", text="", reason="400")  # of the file, to the third prompt
    given(story, 0, asked=replace(ASKED, system="Be kind."))
    return story


def exported(story: ToldRun, folder: Path, options: AnswerExportOptions = ALL) -> AnswersManifest:
    return export_answers(source_of(story), folder, options)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_model_and_condition_has_its_files_and_what_has_no_text_is_counted(story: ToldRun, tmp_path: Path) -> None:
    manifest = exported(story, tmp_path / "out")
    assert [(one.name, one.model, one.system, one.sets, one.outcomes) for one in manifest.series] == [
        ("demo@4", MINE.key, "", {"vicuna": 4}, {"answered": 2, "empty": 1, "cut": 1}),
        ("reference", FILED.key, "", {"vicuna": 4}, {"answered": 3, "refused": 1}),
        ("demo@4+2", MINE.key, "Be kind.", {"vicuna": 1}, {"answered": 1}),
    ]
    assert {file.name: file.rows for file in manifest.files} == {
        "README.md": None,
        "answers.jsonl": 9,
        "alpaca-eval-demo@4.json": 4,
        "alpaca-eval-demo@4+2.json": 1,
        "alpaca-eval-reference.json": 3,
        "predictions-demo@4.jsonl": 4,
        "predictions-demo@4+2.jsonl": 1,
        "predictions-reference.jsonl": 3,
    }
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "3 answered, 1 refused" in card and "config_name: alpaca-eval-demo@4+2" in card


def test_the_forms_are_those_that_their_readers_expect(story: ToldRun, tmp_path: Path) -> None:
    exported(story, tmp_path / "out")
    outputs = json.loads((tmp_path / "out" / "alpaca-eval-demo@4.json").read_bytes())
    assert [one["output"] for one in outputs] == TEXTS
    assert outputs[3] == {
        "instruction": "How does thing 3 work?\n\nfor a child",
        "output": "Water boils.",
        "generator": "demo@4",
        "dataset": "vicuna",
    }
    rows = read_tasks(tmp_path / "out" / "predictions-demo@4.jsonl")
    assert [(row.task.instruction, row.task.input, row.task.output) for row in rows] == [
        (f"How does thing {place} work?", "for a child" if place == 3 else "", text) for place, text in enumerate(TEXTS)
    ]
    whole = lines(tmp_path / "out" / "answers.jsonl")
    assert [line["offset"] for line in whole] == [0, 1, 2, 3, 4, 5, 6, 7, 9], "the repeat is left out"
    assert (whole[0]["model_key"], whole[0]["answers"][0]["raw"]) == (MINE.key, RAWS[0])
    assert (whole[5]["outcome"], whole[5]["reason"]) == ("refused", "400")


def test_the_same_log_gives_the_same_bytes_and_a_changed_file_is_found(
    story: ToldRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = exported(story, tmp_path / "first"), exported(story, tmp_path / "again")
    assert first == again == read_any_manifest(tmp_path / "first")
    for path in (tmp_path / "first").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
    assert main(["export", str(tmp_path / "first"), "--verify"]) == ExitCode.OK
    assert f"{len(first.files)} of {len(first.files)} files are unchanged" in capsys.readouterr().out
    path = tmp_path / "first" / "predictions-reference.jsonl"
    path.write_bytes(path.read_bytes().replace(b"So does", b"So did_"))
    assert [one.name for one in differences(tmp_path / "first")[1]] == [path.name]
    assert main(["export", str(tmp_path / "first"), "--verify"]) == ExitCode.FAILED
    with pytest.raises(ConfigurationError, match="an export of answers, not of rows"):
        read_manifest(tmp_path / "first")


def test_models_and_sets_are_chosen_by_name_or_key_and_must_be_there(story: ToldRun, tmp_path: Path) -> None:
    for model in ("reference", FILED.key):
        options = AnswerExportOptions(models=(model,), sets=("vicuna",))
        assert [one.name for one in exported(story, tmp_path / model, options).series] == ["reference"]
    for wrong in (AnswerExportOptions(models=("reference", "x")), AnswerExportOptions(sets=("koala",))):
        with pytest.raises(ConfigurationError, match=r"has no answers of --(model 'x'|set 'koala')"):
            exported(story, tmp_path / "none", wrong)
    with pytest.raises(RunError, match="sedi eval answers"):
        export_answers(source_of(whole_run()), tmp_path / "none", ALL)
    with pytest.raises(ConfigurationError, match="exists already"):
        exported(story, tmp_path / "reference")
    assert {path.name for path in tmp_path.iterdir()} == {"reference", FILED.key}, "nothing is left of what failed"


def test_a_models_name_is_no_path_and_does_not_hide_another(tmp_path: Path) -> None:
    story = whole_run()
    for place, name in enumerate(("../../etc/passwd", "..", "A b", "a-B")):
        given(story, 0, replace(FILED, name=name, sha256=f"{place:064}"), "So.")
    manifest = exported(story, tmp_path / "out", AnswerExportOptions(formats=("predictions",)))
    assert [one.name for one in manifest.series] == ["etc-passwd", "model", "A-b", "a-B+2"]
    assert len(list((tmp_path / "out").iterdir())) == 4 + 2


def test_the_command_exports_answers_of_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = str(archived(evaluation(), tmp_path / "log", after=HERE / "undisturbed").folder)
    arguments = ["export", "--from-files", archive, "--what", "answers"]
    assert main([*arguments, str(tmp_path / "out"), "--format", "jsonl", "--model", "reference"]) == ExitCode.OK
    assert "4 answers, in" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "json"), "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["what"], told["answers"], told["options"]["formats"]) == ("answers", 8, ["alpaca-eval"])
    for wrong in (["--min-score", "1"], ["--cluster", "0"], ["--format", "alpaca"]):
        assert main([*arguments, str(tmp_path / "no"), *wrong]) == ExitCode.USAGE
    assert main(["export", "--from-files", archive, str(tmp_path / "no"), "--set", "vicuna"]) == ExitCode.USAGE
    assert "--set is for an export of answers" in capsys.readouterr().err


def test_a_model_named_as_another_ones_numbered_file_has_a_file_of_its_own(tmp_path: Path) -> None:
    story = whole_run()
    given(story, 0, FILED, "one")
    given(story, 0, replace(FILED, sha256="e" * 64), "two")
    given(story, 0, replace(FILED, name="Reference+2", sha256="f" * 64), "three")
    manifest = exported(story, tmp_path / "out")
    assert [one.name for one in manifest.series] == ["reference", "reference+2", "Reference+2+2"]
    assert {file.rows for file in manifest.files if file.name.startswith("predictions-")} == {1}
