"""The paper's tables from an evaluation's results, with the paper's own numbers where it gives them."""

import pytest

from consumers.evaluation.results import BenchmarkScore, ComparisonScore, EvaluationReport, GroupScore, Interval
from consumers.evaluation.statistics import mean_relative_gain, relative_gain
from consumers.evaluation.study_tables import ALPACA_EVAL, figure7, figure10, table1, table2, table5
from consumers.seed_table import SeedRow
from schemas.evaluation import EvaluatedModel

BASELINE = (0.046, 0.565, 0.557, 0.677)  # Table 1: Llama-3-8B + Self-Instruct
OURS = (0.054, 0.566, 0.561, 0.693)  # Llama-3-8B + SEDI-INSTRUCT


def interval(value: float, width: float = 0.001) -> Interval:
    return Interval(value=value, low=value - width, high=value + width)


def benchmark(model: str, name: str, value: float, groups: dict[str, float] | None = None) -> BenchmarkScore:
    usual = "accuracy" if name == "mmlu" else "accuracy_per_character"
    given = {"accuracy": interval(value), "accuracy_per_character": interval(0.11)}
    if usual != "accuracy":
        given = {"accuracy": interval(0.11), "accuracy_per_character": interval(value)}
    parts = tuple(
        GroupScore(name=group, questions=10, of=10, accuracy=interval(share), accuracy_per_character=interval(0.2))
        for group, share in (groups or {}).items()
    )
    return BenchmarkScore(
        model=model,
        benchmark=f"{name}/1/0/x",
        name=name,
        title=name,
        shots=0,
        form="published",
        sample="",
        questions=10,
        of=10,
        metric=usual,
        groups=parts,
        precision="fp32",
        engine="direct",
        **given,
    )


def comparison(first: str, second: str, rate: float, set_name: str = ALPACA_EVAL) -> ComparisonScore:
    return ComparisonScore(
        first=first,
        second=second,
        judge="pair/1/j",
        set=set_name,
        equal="tie",
        prompts=10,
        scored=9,
        win=5,
        tie=3,
        lose=1,
        win_rate=interval(rate),
        length_controlled=None,
        unread=1,
        unjudged=0,
        unanswered={},
        cut={},
        orders_disagree=None,
        first_place_wins=None,
    )


def report(*models: str, benchmarks=(), comparisons=()) -> EvaluationReport:
    known = {key: EvaluatedModel(name=key.split("@")[0], kind="folder", source=key) for key in models}
    return EvaluationReport(
        run="study",
        models=known,
        benchmarks=tuple(benchmarks),
        held_out=(),
        differences=(),
        unreadable={},
        answers=(),
        generation=(),
        comparisons=tuple(comparisons),
        strengths=(),
        notes=(),
    )


def paper_report() -> EvaluationReport:
    benchmarks, comparisons = [], []
    for model, (alpaca, *accuracies) in (("baseline", BASELINE), ("sedi", OURS)):
        named = zip(("mmlu", "hellaswag", "arc"), accuracies, strict=True)
        benchmarks += [benchmark(model, name, value) for name, value in named]
        comparisons.append(comparison("reference", model, 1 - alpaca))
    return report("baseline", "sedi", "reference", benchmarks=benchmarks, comparisons=comparisons)


def test_the_papers_five_per_cent_is_the_mean_of_four_relative_gains():
    relative, absolute = mean_relative_gain(BASELINE, OURS), relative_gain(sum(BASELINE), sum(OURS))
    assert relative == pytest.approx(0.052, abs=0.0005)
    assert absolute == pytest.approx(0.016, abs=0.0005)


def test_table1_has_the_papers_averages_and_both_readings_of_its_gain():
    table = table1(paper_report(), ["baseline", "sedi"])
    rows = dict(table.rows)
    assert [cell.value for cell in rows["sedi"][:4]] == pytest.approx(OURS)
    assert (rows["baseline"][4], rows["sedi"][4]) == ("46.1", "46.9")
    assert "relative gains is +5.2%" in table.notes[0] and "from 46.1% to 46.9%" in table.notes[0]


def test_what_was_not_measured_is_named_and_no_average_is_made_of_the_rest():
    found = paper_report()
    table = table1(report("baseline", "sedi", benchmarks=found.benchmarks), ["baseline", "sedi"])
    assert dict(table.rows)["sedi"][0] is None and dict(table.rows)["sedi"][4] is None
    assert "sedi: there is no average without AlpacaEval." in table.notes


def test_prompts_that_the_judge_could_not_be_read_on_are_counted_under_the_table():
    table = table1(report("reference", "sedi", comparisons=[comparison("sedi", "reference", 0.5)]), ["sedi"])
    wanted = "rests on 9 of 10 prompts; the judge could not be read on 1, and 0 were not judged"
    assert any(wanted in note for note in table.notes)


def test_of_two_models_with_one_name_the_newest_counts():
    scores = [benchmark("sedi@1", "mmlu", 0.3), benchmark("sedi@2", "mmlu", 0.4)]
    for order in (scores, scores[::-1]):
        table = table1(report("sedi@1", "sedi@2", benchmarks=order), ["sedi"])
        assert dict(table.rows)["sedi"][1].value == 0.4


def test_table5_has_groups_of_subjects_and_both_parts_of_arc():
    groups = {"STEM": 0.493, "Humanities": 0.498, "Social sciences": 0.667, "Other": 0.641}
    scores = [benchmark("sedi", "mmlu", 0.566, groups), benchmark("sedi", "arc_easy", 0.79)]
    rows = dict(table5(report("sedi", benchmarks=scores), ["sedi"]).rows)
    assert [rows[name][0].value for name in ("MMLU", *groups, "ARC easy")] == [0.566, *groups.values(), 0.79]
    assert rows["ARC"] == (None,)


@pytest.mark.parametrize(("names", "expected"), [(("a", "b"), ("5", "1", 0.7)), (("b", "a"), ("1", "5", 0.3))])
def test_figure7_is_from_the_first_models_side_whichever_was_compared_first(names, expected):
    found = report("a", "b", comparisons=[comparison("a", "b", 0.7, "vicuna")])
    ((name, (win, tie, lose, rate, unscored)),) = figure7(found, *names).rows
    assert (name, win, tie, lose, unscored) == ("vicuna", expected[0], "3", expected[1], "1")
    assert rate.value == pytest.approx(expected[2]) and rate.low < rate.value < rate.high


def test_table2_shows_the_large_generators_score_in_brackets():
    scores = [benchmark("sedi-small", "mmlu", 0.532), benchmark("sedi-large", "mmlu", 0.566)]
    found = report("sedi-small", "sedi-large", benchmarks=scores)
    rows = dict(table2(found, [("sedi", "sedi-small", "sedi-large")]).rows)
    assert rows["MMLU"] == ("53.2 (56.6)",) and rows["ARC"] == ("– (–)",)


def test_figure10_shows_the_ends_of_the_scores_and_how_little_they_rest_on():
    def seed(number: int, score: float | None) -> SeedRow:
        return SeedRow(
            id=f"s{number}", instruction=f"do {number}", shown=1, generated=4, kept=2, score=score, since_offset=-1
        )

    table = figure10("demo", [seed(1, 0.9), seed(2, None), seed(3, 0.5), seed(4, 0.7)])
    assert [(name, cells[0]) for name, cells in table.rows] == [("s3", "low"), ("s1", "high")]
    assert "3 of 4 seeds have a score" in table.notes[0] and "at most 4 instructions" in table.notes[0]
    assert figure10("demo", [seed(1, None)]).rows == ()
