"""The data frames of an evaluation, from Python: each event once, with what it is about."""

from pathlib import Path

import polars as pl
import pytest

import sedi
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from tests.golden import HERE
from tests.unit.consumers.evaluated_run import ARC, ASKED, FILED, JUDGE, MINE, archived, evaluation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    story = evaluation()
    for kind in (QuestionMeasured, AnswerGiven, AnswersJudged):
        story.again(next(story.events(kind))[1])
    return archived(story, tmp_path / "log", after=HERE / "undisturbed").folder


def test_questions_answers_and_judgements_are_there_each_once(folder: Path) -> None:
    with sedi.open(archive=folder) as run:
        measured, answers, judgements = run.measured(), run.answers(), run.judgements()
        assert run.replay().divergences == 0
        story = run.explain(judgements["id"][0])

    assert measured.select("question_id", "right", "right_per_character").rows() == [
        ("q0", True, True),
        ("q1", False, True),
        ("q2", True, True),
    ]
    first = measured.row(0, named=True)
    assert (first["model_key"], first["trained_step"], first["benchmark"]) == (MINE.key, 4, ARC.name)
    assert first["loglikelihoods"] == [-7.25, -11.5, -12.0]
    assert measured.group_by("model").agg(pl.col("right").mean())["right"].to_list() == [pytest.approx(2 / 3)]

    assert dict(answers.group_by(pl.col("outcome").cast(pl.String)).len().iter_rows()) == {
        "answered": 6,
        "empty": 1,
        "cut": 1,
    }
    assert answers.filter(model=FILED.name)["trained_run"].null_count() == 4
    assert answers["asked"][0] == ASKED.key and answers["set"].unique().to_list() == ["vicuna"]

    assert judgements["scores"].to_list() == [[8.0, 6.5], [7.0, 7.0], None]
    assert judgements["requests"].to_list() == [1, 1, 2]
    assert judgements["judge"].unique().to_list() == [JUDGE.name]
    joined = judgements.explode("answer_ids", "models").join(answers, left_on="answer_ids", right_on="id")
    assert joined.height == 6 and (joined["models"] == joined["model_key"]).all()
    assert story.judgement is not None and story.judgement.event.scores == (8.0, 6.5)


def test_answers_are_exported_as_the_command_does(folder: Path, tmp_path: Path) -> None:
    manifest = sedi.open(folder).export_answers(tmp_path / "out")
    assert manifest.answers == 8 and (tmp_path / "out" / "alpaca-eval-demo@4.json").is_file()
