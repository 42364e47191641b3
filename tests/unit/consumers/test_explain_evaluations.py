"""From a model's score to its questions and the rows it was trained on; from a judgement to its answers and calls."""

import pytest
from msgspec.structs import replace

from consumers.explain.locate import locate
from consumers.explain.schema.explanation import Explanation
from consumers.explain.story import explain
from schemas import ids
from schemas.errors import RunError
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from schemas.events import TrainingLogged
from sedi.explain_panels import show_explanation
from tests.unit.consumers.evaluated_run import (
    ARC,
    ASKED,
    FILED,
    FROM_FILE,
    JUDGE,
    MINE,
    RAWS,
    SCORES,
    answer_of,
    called,
    evaluated_run,
    given,
    loglikelihoods,
)
from tests.unit.consumers.recorded_run import ToldRun, source_of, whole_run

FIRST, FILED_FIRST = answer_of(MINE, ASKED, 0), answer_of(FILED, FROM_FILE, 0)
JUDGED = ids.answers_judged_id(JUDGE.name, (FIRST, FILED_FIRST))
TURNED = ids.answers_judged_id(JUDGE.name, (FILED_FIRST, FIRST))
WRONG = ids.measured_id(MINE.key, ARC.key, "q1")


@pytest.fixture
def story() -> ToldRun:
    story = evaluated_run()
    for kind in (QuestionMeasured, AnswerGiven, AnswersJudged):  # what is on the log twice is told once
        story.again(next(story.events(kind))[1])
    return story


def told(story: ToldRun, id: str) -> Explanation:
    return explain(source_of(story), id)


def printed(found: Explanation, capsys: pytest.CaptureFixture[str]) -> str:
    show_explanation(found)
    return capsys.readouterr().out


def test_a_models_score_leads_to_its_questions_the_wrong_ones_first(
    story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(story, "demo@4")
    assert (found.id, found.kinds) == (MINE.key, ("model",))
    assert found.model is not None
    (arc,) = found.model.benchmarks
    assert (arc.benchmark, arc.questions, arc.right, arc.right_per_character) == (ARC, 3, 2, 3)
    assert [(one.question_id, one.chosen, one.gold) for one in arc.asked] == [("q1", 1, 0), ("q0", 0, 0), ("q2", 0, 0)]
    (answers,) = found.model.answers
    assert (answers.asked, answers.outcomes) == (ASKED, {"answered": 2, "empty": 1, "cut": 1})
    assert len(answers.ids) == 4 and answers.ids[0] == FIRST
    assert (found.model.judged, found.model.unread) == (2, 1)
    out = printed(found, capsys)
    assert "2 of 3 right (66.7 %)" in out and f"wrong: q1 {WRONG[:8]}" in out and "q0" not in out

    question = told(story, arc.asked[0].id).question
    assert question is not None
    assert (question.id, question.right, question.right_per_character) == (WRONG, False, True)
    assert (question.at.topic, question.at.offset, question.event.loglikelihoods) == (
        "measured",
        1,
        (-9.0, -8.5, -8.75),
    )
    out = printed(told(story, WRONG[:8]), capsys)
    assert "→ -8.5000 a coin" in out and "✓ -9.0000 an ice cube" in out


def test_a_model_leads_to_the_rows_of_the_steps_that_it_was_trained_by(
    story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row.id
        for _, entry in story.events(TrainingLogged)
        for step in entry.event.steps[:4]
        for row in step.rows  # type: ignore[attr-defined]
    ]
    found = told(story, "demo@4")
    assert found.model is not None and found.model.trained is not None
    trained = found.model.trained
    assert (trained.run, trained.step, trained.steps, trained.offsets) == ("demo", 4, 4, (2, 1))
    (epoch,) = trained.epochs
    assert (epoch.epoch, epoch.steps, epoch.rows) == (1, 4, 8)
    assert list(epoch.ids) == rows[:8] and (epoch.first, epoch.last) == (rows[0], rows[7])
    assert "epoch 1: 8 rows in 4 steps" in printed(found, capsys)


def test_rows_of_another_runs_training_are_not_looked_for_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert MINE.trained is not None
    story = whole_run()
    elsewhere = replace(MINE, name="other", trained=replace(MINE.trained, run="elsewhere", step=300))
    loglikelihoods(story, (-1.0, -2.0, -3.0), 0, model=elsewhere)
    for name in ("other", "other@300", "elsewhere@300", elsewhere.key):
        found = told(story, name)
        assert found.model is not None and found.model.trained is not None
        assert (found.model.key, found.model.trained.epochs) == (elsewhere.key, ())
    assert "trained by run elsewhere" in printed(found, capsys)


def test_a_log_with_fewer_steps_than_the_model_has_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert MINE.trained is not None
    story = whole_run()
    later = replace(MINE, trained=replace(MINE.trained, step=60))
    loglikelihoods(story, (-1.0, -2.0, -3.0), 0, model=later)
    assert "6 of its 60 steps are on the log" in printed(told(story, later.key), capsys)


def test_a_judgement_leads_to_both_answers_its_calls_and_the_other_order(
    story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(story, JUDGED)
    judgement = found.judgement
    assert found.kinds == ("judgement",) and judgement is not None
    assert [(one.id, one.model, one.score, one.text) for one in judgement.answers] == [
        (FIRST, MINE.key, 8.0, "Keep it in a cloth bag."),
        (FILED_FIRST, FILED.key, 6.5, "So does thing 0."),
    ]
    assert [one.at.topic for one in judgement.answers if one.at is not None] == ["answers", "answers"]
    assert [(other.id, other.models, other.scores) for other in judgement.others] == [
        (TURNED, (FILED.key, MINE.key), (7.0, 7.0))
    ]
    (request,) = judgement.requests
    assert request.request_id == ids.request_id(JUDGED, 0) and request.attempts[0].outcome == "answered"
    out = printed(found, capsys)
    assert "8 demo@4@aaaaaaaaaaaa" in out and "The first one says why." in out and SCORES[0].split("\n")[0] in out


def test_a_judgement_that_names_no_answers_is_told_as_one(story: ToldRun, capsys: pytest.CaptureFixture[str]) -> None:
    story.change(AnswersJudged, 0, answer_ids=(), models=())
    found = told(story, JUDGED)
    assert found.judgement is not None and (found.judgement.answers, found.judgement.others) == ((), ())
    assert "Judgement" in printed(found, capsys)


def test_an_answer_leads_to_its_calls_and_judgements_and_its_call_to_it(
    story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(story, FIRST)
    answer = found.answer
    assert answer is not None
    assert (answer.id, answer.event.text, answer.at.offset) == (FIRST, "Keep it in a cloth bag.", 0)
    assert [one.id for one in answer.judgements] == [JUDGED, TURNED]
    (request,) = answer.requests
    assert told(story, request.request_id) == found, "a call's id names its answer"
    assert told(story, ids.request_id(JUDGED, 0)).judgement is not None
    assert "outcome: answered" in printed(found, capsys)
    out = printed(told(story, answer_of(MINE, ASKED, 2)), capsys)
    assert "outcome: cut: the answer was cut off (length)" in out and RAWS[2] in out


def test_names_that_fit_several_things_or_none_are_refused(story: ToldRun) -> None:
    loglikelihoods(story, (-1.0, -2.0, -3.0), 9, model=replace(MINE, sha256="f" * 64))
    with pytest.raises(RunError, match=r"'demo@4' names 2 ids: demo@4@aaaaaaaaaaaa \(model\), demo@4@ffffffffffff"):
        told(story, "demo@4")
    assert told(story, "demo@4@f").id == "demo@4@ffffffffffff"
    with pytest.raises(RunError, match="no model, question, answer or judgement"):
        told(story, "nobody@4")


def test_a_failed_call_of_an_answer_is_told_as_one_and_texts_steer_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = whole_run()
    given(story, 0, answers=(), outcome="failed", text="", reason="500 \x1b[31mred\x1b[0m")
    found = told(story, answer_of(MINE, ASKED, 0))
    assert found.answer is not None and len(found.answer.requests) == 1
    out = printed(found, capsys)
    assert "outcome: failed: 500" in out and "\x1b" not in out
    called(story, ids.run_id("nobody"), 0, "So.")
    assert locate(source_of(story), ids.request_id(ids.run_id("nobody"), 0)).kinds == ("request",)
