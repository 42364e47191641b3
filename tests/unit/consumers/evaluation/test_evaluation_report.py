"""The report puts all folds together, shows the models one asks for, and says what the numbers leave out."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from consumers.evaluation import results
from consumers.evaluation.plots import write_evaluation_plots
from consumers.evaluation.report import evaluation_report, is_empty
from consumers.evaluation.results import EvaluationReport
from consumers.evaluation.tables import tables
from consumers.replay.parallel import recomputed
from schemas.errors import ConfigurationError, RunError
from tests.unit.consumers.evaluation.evaluation_story import (
    AFTER,
    BEFORE,
    PAIR,
    REFUSAL,
    THIRD,
    EvaluationStory,
    asked,
    benchmark,
    whole_evaluation,
)
from tests.unit.consumers.recorded_run import source_of


@pytest.fixture(scope="module")
def found() -> EvaluationReport:
    return evaluation_report(source_of(whole_evaluation()))


def test_it_holds_every_fold_of_every_model(found: EvaluationReport) -> None:
    keys = [BEFORE.key, AFTER.key, THIRD.key]
    assert (found.run, list(found.models)) == ("demo", keys)
    assert [score.name for score in found.benchmarks] == ["mmlu", "arc_easy", "arc_challenge", "arc", "hellaswag"] * 2
    assert [score.model for score in found.held_out] == keys[:2]
    assert {(difference.first, difference.second) for difference in found.differences} == {(keys[0], keys[1])}
    assert [(counts.model, counts.set) for counts in found.answers[-3:-1]] == [(THIRD.key, "vicuna")] * 2
    compared = [(score.first, score.second, score.set) for score in found.comparisons]
    pairs = [(keys[0], keys[1]), (keys[0], keys[2]), (keys[1], keys[2])]
    assert compared == [(*pair, name) for pair in pairs for name in ("koala", "vicuna", "all")]
    assert {strength.model for strength in found.strengths} == set(keys)
    assert [(score.model, score.set, score.scored) for score in found.generation] == [(keys[1], "superni", 2)]


def test_models_are_shown_by_name_or_key_and_the_first_is_the_one_compared_with(found: EvaluationReport) -> None:
    source = source_of(whole_evaluation())

    chosen = evaluation_report(source, models=["after", BEFORE.key])

    assert list(chosen.models) == [AFTER.key, BEFORE.key]
    assert {(difference.first, difference.second) for difference in chosen.differences} == {(AFTER.key, BEFORE.key)}
    assert {(score.first, score.second) for score in chosen.comparisons} == {(BEFORE.key, AFTER.key)}
    assert list(chosen.comparisons) == list(found.comparisons[:3])
    assert {score.model for score in (*chosen.benchmarks, *chosen.answers, *chosen.strengths)} == set(chosen.models)
    with pytest.raises(ConfigurationError, match="No model 'nobody' was evaluated on this run"):
        evaluation_report(source, models=["nobody"])


@pytest.mark.parametrize(
    "said",
    [
        "after was trained by run demo for 300 steps.",
        "HellaSwag was asked in a form that differs from the published one (joined context)",
        "MMLU: 4 of 40 questions of 2 of the 57 subjects (before, after), 2 a subject, seed 0.",
        "ARC easy: 4 of 2,376 questions (before, after), 4.",
        "HellaSwag: the file holds 1 questions, the published one 10,042.",
        "The intervals are Wilson's",
        "Differences are to before",
        "after against third by pair/1/judge: not scored are 1 of 8 prompts (1 unread, 0 not judged, 0 without an "
        "answer). None counts as a loss.",
        "before against after by pair/1/judge: not scored are 2 of 8 prompts (0 unread, 0 not judged, 2 without an ",
        "Refusals by judge: by refusal/1/judge",
        "METEOR matched words exactly and by stem",
    ],
)
def test_the_notes_say_what_the_numbers_are_of(found: EvaluationReport, said: str) -> None:
    assert [note for note in found.notes if said in note] != []


def test_notes_name_united_samples_several_files_precisions_tokens_and_unread_records() -> None:
    story = EvaluationStory()
    story.configure()
    for sample in ("5, seed 0", "5, seed 1"):
        story.measured(BEFORE, benchmark("arc_easy"), sample, right=True, sample=sample)
    story.measured(BEFORE, benchmark("arc_easy", data="f"), "1", right=True, size=1)
    story.measured(AFTER, benchmark("arc_easy"), "1", right=True, precision="bf16")
    for model, tokens in ((BEFORE, 10), (AFTER, 11)):
        story.text(model, benchmark("held-out"), "1", loss=1.0, tokens=tokens)
    story.measured(AFTER, benchmark("arc_easy"), "2", right=True)
    source = source_of(story)
    source.records[-1].value = b"not an event"

    found = evaluation_report(source)

    notes = "\n".join(found.notes)
    assert "Records of measured that could not be read, and are in no number here: 1." in notes
    assert found.unreadable == {"measured": 1}
    assert "(before), 5, seed 0 + 5, seed 1 (several samples; their union counts)." in notes
    assert "ARC easy was asked with 2 different files, forms or numbers of shots." in notes
    assert "different precisions: bf16, fp32" in notes
    assert "before, after split the held-out texts into tokens differently" in notes
    assert all(difference.metric != "loss" for difference in found.differences)


def test_events_that_lack_what_is_counted_are_unread_and_end_no_report() -> None:
    story = EvaluationStory()
    story.configure()
    story.text(BEFORE, benchmark("held-out"), "1", loss=1.0, tokens=2)
    empty = replace(story.written[-1].event, question_id="2", choices=(), loglikelihoods=(), tokens=())
    story.tell(empty, id="00000000-0000-5000-8000-000000000002", key="k")
    story.judged(REFUSAL, story.answered(BEFORE, "1"), scores=())

    for found in (evaluation_report(source_of(story)), recomputed(source_of(story))):
        assert found.unreadable == {"measured": 1}
        assert [score.texts for score in found.held_out] == [1]
        assert [(counts.judged, counts.unread) for counts in found.answers] == [(1, 1)]


def test_one_model_under_two_kinds_of_sampling_has_two_comparisons_that_are_told_apart() -> None:
    story = EvaluationStory()
    story.configure()
    other = story.answered(AFTER, "p")
    for temperature in (0.0, 1.0):
        under = replace(asked(), parameters={"temperature": temperature})
        story.judged(PAIR, story.answered(BEFORE, "p", conditions=under), other, scores=(8.0, 7.0))

    found = evaluation_report(source_of(story))

    titles = [table.title for table in tables(found) if "judged by" in table.title]
    assert titles == [
        f"after against before, 0 shots, template chat, temperature {value}, judged by pair/1/judge"
        for value in (0.0, 1.0)
    ]
    assert sum("not scored are 1 of 1 prompts" in note for note in found.notes) == 2


def test_subjects_and_categories_are_details(found: EvaluationReport) -> None:
    whole, short = tables(found), tables(found, details=False)
    names = {row[0] for table in short for row in table.rows}
    assert {"STEM", "Humanities"} < names
    assert "astronomy" not in names
    assert "astronomy" in {row[0] for table in whole for row in table.rows}


def test_two_models_of_one_name_are_shown_by_their_keys() -> None:
    story = EvaluationStory()
    story.configure()
    for model in (BEFORE, replace(BEFORE, sha256="f" * 64)):
        story.measured(model, benchmark("arc_easy"), "1", right=True)

    found = evaluation_report(source_of(story))

    assert {row[0] for row in tables(found)[0].rows} == {"before@aaaaaaaaaaaa", "before@ffffffffffff"}


def test_a_log_without_evaluations_gives_an_empty_report_and_one_without_a_run_an_error(tmp_path: Path) -> None:
    story = EvaluationStory()
    with pytest.raises(RunError, match="has no RunConfigured"):
        evaluation_report(source_of(story))
    story.configure()

    found = evaluation_report(source_of(story))

    assert is_empty(found)
    assert tables(found) == []
    assert found.notes == ()
    assert write_evaluation_plots(found, tmp_path) == []


def test_the_json_is_read_back_and_its_fields_stay(found: EvaluationReport) -> None:
    assert msgspec.json.decode(msgspec.json.encode(found), type=EvaluationReport, strict=True) == found
    fields = {name: " ".join(getattr(results, name).__struct_fields__) for name in FIELDS}
    assert fields == FIELDS


FIELDS = {
    "EvaluationReport": "run models benchmarks held_out differences answers generation comparisons strengths notes "
    "unreadable",
    "BenchmarkScore": "model benchmark name title shots form sample questions of metric accuracy "
    "accuracy_per_character groups precision engine",
    "GroupScore": "name questions of accuracy accuracy_per_character",
    "HeldOutScore": "model benchmark name form texts tokens loss",
    "BenchmarkDifference": "first second benchmark name title metric questions first_score second_score better worse "
    "difference clear",
    "AnswerCounts": "model set asked system shots prompts outcomes characters refusals_by_list refusals_by_judge "
    "refusal_judge judged unread more_judges conditions",
    "Interval": "value low high",
}
"""What programs read. A field may be added; none goes or changes its name."""
