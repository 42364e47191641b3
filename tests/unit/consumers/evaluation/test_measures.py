"""Scores of benchmarks: each question once, weighted by what it stands for; differences are paired."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from consumers.evaluation.differences import differences_of
from consumers.evaluation.measured import read_measured
from consumers.evaluation.measures import losses_of, scores_of
from consumers.evaluation.results import BenchmarkDifference, BenchmarkScore, Interval
from consumers.evaluation.statistics import share_interval
from schemas.evaluation import Benchmark, QuestionMeasured
from tests.unit.consumers.evaluation.evaluation_story import AFTER, BEFORE, EvaluationStory, benchmark
from tests.unit.consumers.recorded_run import source_of

MMLU, EASY, CHALLENGE = benchmark("mmlu", shots=5), benchmark("arc_easy"), benchmark("arc_challenge", data="d")


@pytest.fixture
def story() -> EvaluationStory:
    return EvaluationStory()


def scores(story: EvaluationStory) -> dict[str, BenchmarkScore]:
    return {score.name: score for score in scores_of(read_measured(source_of(story)))}


def measure(story: EvaluationStory, of: Benchmark, right: int, asked: int, size: int, *, group: str = "") -> None:
    for number in range(asked):
        story.measured(BEFORE, of, f"{group}/{number}", right=number < right, group=group, size=size)


def close(found: Interval, expected: Interval) -> bool:
    return (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_the_whole_of_arc_is_the_mean_over_its_questions_as_in_table_5(story: EvaluationStory) -> None:
    measure(story, CHALLENGE, 584, 1172, 1172)
    measure(story, EASY, 1877, 2376, 2376)

    found = scores(story)

    assert list(found) == ["arc_challenge", "arc_easy", "arc"]
    assert [round(100 * score.accuracy.value, 1) for score in found.values()] == [49.8, 79.0, 69.4]
    assert round(100 * found["arc"].accuracy.value, 2) == 69.36
    assert close(found["arc"].accuracy, share_interval(584 + 1877, 3548))
    assert (found["arc"].questions, found["arc"].of, found["arc"].groups) == (3548, 3548, ())


def test_of_samples_of_equal_size_the_larger_part_of_arc_counts_more(story: EvaluationStory) -> None:
    measure(story, EASY, 8, 10, 2376)
    measure(story, CHALLENGE, 3, 10, 1172)

    found = scores(story)["arc"].accuracy

    assert found.value == pytest.approx((2376 * 0.8 + 1172 * 0.3) / 3548)
    fewer = share_interval(20 * found.value, 20)
    assert found.low < fewer.low < fewer.high < found.high  # unequal weights are worth fewer questions


def test_arc_has_no_mean_with_one_part_or_with_two_files_of_one(story: EvaluationStory) -> None:
    measure(story, EASY, 1, 2, 4)
    assert "arc" not in scores(story)
    measure(story, CHALLENGE, 1, 2, 4)
    assert "arc" in scores(story)
    measure(story, benchmark("arc_challenge", data="e"), 1, 2, 4)
    assert "arc" not in scores(story)


def test_subjects_of_mmlu_count_by_their_size_and_form_the_groups_of_table_5(story: EvaluationStory) -> None:
    measure(story, MMLU, 5, 5, 100, group="astronomy")
    measure(story, MMLU, 0, 5, 300, group="virology")
    measure(story, MMLU, 2, 4, 600, group="anatomy")
    measure(story, MMLU, 1, 1, 10, group="of our own")

    found = scores(story)["mmlu"]

    assert found.accuracy.value == pytest.approx((100 + 0 + 300 + 10) / 1010)
    assert (found.questions, found.of, found.shots) == (15, 1010, 5)
    groups = {group.name: (group.questions, group.of, pytest.approx(group.accuracy.value)) for group in found.groups}
    assert groups == {
        "STEM": (9, 700, 400 / 700),
        "Other": (5, 300, 0.0),
        "anatomy": (4, 600, 0.5),
        "astronomy": (5, 100, 1.0),
        "of our own": (1, 10, 1.0),
        "virology": (5, 300, 0.0),
    }
    assert close(found.groups[1].accuracy, share_interval(0, 5))


def test_samples_of_one_benchmark_are_united_and_a_question_counts_once_by_its_first_event(
    story: EvaluationStory,
) -> None:
    story.measured(BEFORE, EASY, "1", right=True, sample="2, seed 0")
    first = story.measured(BEFORE, EASY, "2", right=False, per_character=True, sample="2, seed 0")
    story.measured(BEFORE, EASY, "3", right=True, sample="2, seed 1")
    story.again(first)
    story.measured(BEFORE, EASY, "2", right=True, sample="2, seed 1")

    found = scores(story)["arc_easy"]

    assert (found.questions, found.sample, found.accuracy.value) == (3, "2, seed 0 + 2, seed 1", pytest.approx(2 / 3))
    assert found.accuracy_per_character.value == 1.0


def test_other_data_other_shots_and_other_models_have_rows_of_their_own(story: EvaluationStory) -> None:
    for of in (EASY, benchmark("arc_easy", data="f"), benchmark("arc_easy", shots=5)):
        story.measured(BEFORE, of, "1", right=True)
    story.measured(AFTER, EASY, "1", right=False)
    story.measured(replace(AFTER, sha256="f" * 64), EASY, "1", right=True)

    found = scores_of(read_measured(source_of(story)))

    assert [score.accuracy.value for score in found] == [1, 1, 1, 0, 1]
    assert len({(score.model, score.benchmark) for score in found}) == 5


def test_the_loss_of_held_out_texts_is_per_token_and_no_accuracy(story: EvaluationStory) -> None:
    of = benchmark("held-out")
    story.text(BEFORE, of, "short", loss=30.0, tokens=10)
    story.text(BEFORE, of, "long", loss=90.0, tokens=90)

    (found,) = losses_of(read_measured(source_of(story)))

    assert (found.texts, found.tokens, found.loss.value) == (2, 100, pytest.approx(1.2))
    assert (found.loss.low, found.loss.high) == pytest.approx((1.0, 3.0))  # of one text alone
    assert scores_of(read_measured(source_of(story))) == ()


def differences(story: EvaluationStory, models: Sequence[str]) -> dict[str, BenchmarkDifference]:
    return {found.name: found for found in differences_of(read_measured(source_of(story)), models)}


def test_models_differ_on_the_questions_that_both_were_measured_on(story: EvaluationStory) -> None:
    for number in range(40):
        story.measured(BEFORE, EASY, str(number), right=number < 10)
        if number >= 5:
            story.measured(AFTER, EASY, str(number), right=number < 25)
    for number in range(50, 60):
        story.measured(AFTER, EASY, str(number), right=False)

    found = differences(story, [BEFORE.key, AFTER.key])["arc_easy"]
    mirrored = differences(story, [AFTER.key, BEFORE.key])["arc_easy"]

    assert (found.questions, found.better, found.worse, found.clear) == (35, 15, 0, True)
    assert (found.first_score, found.second_score) == pytest.approx((5 / 35, 20 / 35))
    assert found.difference.value == pytest.approx(15 / 35)
    # Of a pair both change or none: the interval is that of 15 changed of 35, not that of two independent shares.
    assert 0.2 < found.difference.low < 15 / 35 < found.difference.high < 0.65
    assert (mirrored.better, mirrored.worse) == (0, 15)
    assert mirrored.difference.value == -found.difference.value


def test_a_difference_is_weighted_as_the_scores_are(story: EvaluationStory) -> None:
    for model, right in ((BEFORE, False), (AFTER, True)):
        for number in range(4):
            story.measured(model, MMLU, f"a{number}", right=right, group="astronomy", size=10)
            story.measured(model, MMLU, f"v{number}", right=False, group="virology", size=90)

    found = differences(story, [BEFORE.key, AFTER.key])["mmlu"]

    assert (found.first_score, found.second_score, found.difference.value) == pytest.approx((0, 0.1, 0.1))
    assert found.difference.low > 0
    assert not found.clear  # four changes in one direction may be chance


def test_losses_differ_per_token_and_less_is_better_unless_the_tokens_are_others(story: EvaluationStory) -> None:
    of = benchmark("held-out")
    for number in range(8):
        story.text(BEFORE, of, str(number), loss=20.0 + number, tokens=10)
        story.text(AFTER, of, str(number), loss=15.0 + number, tokens=10)

    found = differences(story, [BEFORE.key, AFTER.key])["held-out"]

    assert (found.metric, found.better, found.worse, found.clear) == ("loss", 8, 0, True)
    assert found.difference.value == pytest.approx(-0.5)

    other = replace(AFTER, sha256="f" * 64)
    story.text(other, of, "0", loss=20.0, tokens=11)
    assert differences(story, [BEFORE.key, other.key]) == {}


def test_a_record_that_cannot_be_read_is_counted(story: EvaluationStory) -> None:
    entry = story.measured(BEFORE, EASY, "1", right=True)
    source = source_of(story)
    source.records[-1].value = b"not an event"

    found = read_measured(source)

    assert isinstance(entry.event, QuestionMeasured)
    assert (found.unreadable, found.folds) == (1, {})
