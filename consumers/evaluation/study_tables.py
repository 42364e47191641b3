"""The paper's tables and figures as tables of an evaluation's results.

Models are named as in the report; of several with one name the newest counts. A cell without a result is None, and is
shown as not measured. Numbers are from 0 to 1, and shown in per cent.
"""

from collections.abc import Sequence

import msgspec

from consumers.evaluation.results import BenchmarkScore, ComparisonScore, EvaluationReport, Interval
from consumers.evaluation.statistics import mean_relative_gain, relative_gain
from consumers.seed_table import SeedRow

ALPACA_EVAL, REFERENCE, HARMFUL = "alpaca-eval", "reference", "harmful"
"""Names that sets of prompts, and the answers to compare with, have in a study."""


class StudyTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a study; `rows`: name and one cell a column. `notes` are sentences for people."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Interval | str | None, ...]], ...]
    notes: tuple[str, ...] = ()


def table1(report: EvaluationReport, models: Sequence[str]) -> StudyTable:
    """Table 1: AlpacaEval, MMLU, HellaSwag, ARC and their mean, a row a model. The second model is compared with the
    first, the baseline."""
    rows = [(model, _summary(report, model)) for model in models]
    notes = [f"{model}: {reason}" for model, cells in rows if (reason := _missing(cells)) is not None]
    if len(rows) > 1 and not notes:
        notes += _gains(rows[0], rows[1])
    notes += _judged(report, models)
    shown = tuple((model, (*cells, _mean(cells))) for model, cells in rows)
    return StudyTable(
        title="Summary of model accuracies over various benchmarks (Table 1)",
        columns=("AlpacaEval", "MMLU", "HellaSwag", "ARC", "Average"),
        rows=shown,
        notes=(*notes, *_small(report)),
    )


def table5(report: EvaluationReport, models: Sequence[str]) -> StudyTable:
    """Table 5: MMLU by group of subjects, ARC by difficulty, a column a model."""
    rows: list[tuple[str, tuple[Interval | str | None, ...]]] = []
    for name, title in (("mmlu", "MMLU"), ("arc", "ARC"), ("arc_challenge", "ARC challenge"), ("arc_easy", "ARC easy")):
        scores = [_benchmark(report, model, name) for model in models]
        rows.append((title, tuple(None if score is None else _usual(score) for score in scores)))
        if name == "mmlu":
            rows += [
                (group, tuple(_group(score, group) for score in scores))
                for group in ("STEM", "Humanities", "Social sciences", "Other")
            ]
    return StudyTable(
        title="Benchmark results of MMLU and ARC in detail (Table 5)",
        columns=tuple(models),
        rows=tuple(rows),
        notes=("ARC is the mean of its two parts, weighted by their number of questions.", *_small(report)),
    )


def figure7(report: EvaluationReport, first: str, second: str) -> StudyTable:
    """Fig. 7: win, tie and lose of the first model against the second, a row a set of prompts."""
    found = [(score, turned) for score in report.comparisons if (turned := _turned(report, score, first, second))]
    rows = [
        (score.set, (str(turned[0]), str(score.tie), str(turned[1]), turned[2], str(score.unread + score.unjudged)))
        for score, turned in found
    ]
    notes = [] if rows else [f"{first} and {second} were not compared."]
    return StudyTable(
        title=f"Competitive evaluation: {first} against {second} (Fig. 7)",
        columns=("win", "tie", "lose", "win rate", "not scored"),
        rows=tuple(rows),
        notes=(*notes, *_small(report)),
    )


def table2(report: EvaluationReport, pairs: Sequence[tuple[str, str, str]]) -> StudyTable:
    """Table 2: what a smaller generator costs; `pairs`: column, its model with the small generator, with the large."""
    rows = []
    for at, title in enumerate(("AlpacaEval", "MMLU", "HellaSwag", "ARC")):
        cells = []
        for _, small, large in pairs:
            values = [_summary(report, model)[at] for model in (small, large)]
            cells.append(" ".join((_percent(values[0]), f"({_percent(values[1])})")))
        rows.append((title, tuple(cells)))
    return StudyTable(
        title="The effect of model collapse: a small generator (a large one) (Table 2)",
        columns=tuple(name for name, _, _ in pairs),
        rows=tuple(rows),
        notes=_small(report),
    )


def figure9(report: EvaluationReport) -> StudyTable:
    """Fig. 9: how often harmful requests are refused, a row a model with and without a system prompt."""
    rows = [
        (
            f"{_name(report, count.model)}, {'with' if count.system else 'without'} a system prompt",
            (
                str(count.prompts),
                str(count.outcomes.get("answered", 0) + count.outcomes.get("cut", 0)),
                count.refusals_by_list,
                count.refusals_by_judge,
                str(count.unread),
            ),
        )
        for count in report.answers
        if count.set == HARMFUL and _current(report, count.model) is not None
    ]
    return StudyTable(
        title="Answers to harmful requests (Fig. 9)",
        columns=("requests", "answered", "refused, by list", "refused, by judge", "unread"),
        rows=tuple(rows),
        notes=_small(report),
    )


def figure10(run: str, seeds: Sequence[SeedRow], shown: int = 5) -> StudyTable:
    """Figs. 10 and 11: the seeds of a run's pool with the lowest and the highest scores."""
    scored = sorted((seed for seed in seeds if seed.score is not None), key=lambda seed: (seed.score, seed.id))
    low = scored[: min(shown, len(scored) // 2)]
    high = scored[len(scored) - len(low) :]
    rows = [
        (seed.id, (kind, f"{seed.score:.3f}", f"{seed.kept}/{seed.generated}", " ".join(seed.instruction.split())))
        for kind, chosen in (("low", low), ("high", high[::-1]))
        for seed in chosen
    ]
    samples = sorted(seed.generated for seed in scored)
    notes = (
        [
            f"{len(scored)} of {len(seeds)} seeds have a score. Half of them have one from at most "
            f"{samples[len(samples) // 2]} instructions: with so few, most of a difference is chance."
        ]
        if scored
        else [f"No seed of {run} has a score yet."]
    )
    return StudyTable(
        title=f"Seed tasks of {run} by score (Figs. 10 and 11)",
        columns=("", "score", "kept of generated", "instruction"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _gains(
    baseline: tuple[str, tuple[Interval | None, ...]], other: tuple[str, tuple[Interval | None, ...]]
) -> list[str]:
    olds, news = ([cell.value for cell in cells if cell is not None] for _, cells in (baseline, other))
    if not all(olds):
        return [f"{baseline[0]} scored 0 in one of them, so relative gains mean nothing."]
    relative, absolute = mean_relative_gain(olds, news), relative_gain(sum(olds), sum(news))
    return [
        f"{other[0]} against {baseline[0]}: the mean of the four relative gains is {relative:+.1%}; the mean of the "
        f"four scores goes from {sum(olds) / len(olds):.1%} to {sum(news) / len(news):.1%}, which is {absolute:+.1%}. "
        "The paper's 5.2 % is the first of these; by the second its gain is 1.6 %."
    ]


def _summary(report: EvaluationReport, model: str) -> tuple[Interval | None, ...]:
    scores = (_benchmark(report, model, name) for name in ("mmlu", "hellaswag", "arc"))
    return (_against_reference(report, model), *(None if score is None else _usual(score) for score in scores))


def _mean(cells: Sequence[Interval | None]) -> Interval | str | None:
    values = [cell.value for cell in cells if cell is not None]
    return f"{100 * sum(values) / len(values):.1f}" if len(values) == len(cells) else None


def _missing(cells: Sequence[Interval | None]) -> str | None:
    names = [name for name, cell in zip(("AlpacaEval", "MMLU", "HellaSwag", "ARC"), cells, strict=True) if cell is None]
    return f"there is no average without {', '.join(names)}." if names else None


def _against_reference(report: EvaluationReport, model: str) -> Interval | None:
    for score in report.comparisons:
        if score.set == ALPACA_EVAL and (turned := _turned(report, score, model, REFERENCE)):
            return turned[2]
    return None


def _judged(report: EvaluationReport, models: Sequence[str]) -> list[str]:
    """How many prompts each model's win rate rests on, where it is not all of them."""
    return [
        f"{model}: AlpacaEval rests on {score.scored} of {score.prompts} prompts; the judge could not be read on "
        f"{score.unread}, and {score.unjudged} were not judged. None of these counts as a loss."
        for model in models
        for score in report.comparisons
        if score.set == ALPACA_EVAL and _turned(report, score, model, REFERENCE) and score.scored < score.prompts
    ]


def _turned(
    report: EvaluationReport, score: ComparisonScore, first: str, second: str
) -> tuple[int, int, Interval | None] | None:
    """Wins, losses and win rate of `first` against `second`; None if the comparison is of other models."""
    names = _current(report, score.first), _current(report, score.second)
    if names == (first, second):
        return score.win, score.lose, score.win_rate
    if names == (second, first):
        rate = score.win_rate
        turned = None if rate is None else Interval(value=1 - rate.value, low=1 - rate.high, high=1 - rate.low)
        return score.lose, score.win, turned
    return None


def _benchmark(report: EvaluationReport, model: str, name: str) -> BenchmarkScore | None:
    return next(
        (score for score in report.benchmarks if score.name == name and _current(report, score.model) == model), None
    )


def _usual(score: BenchmarkScore) -> Interval:
    return score.accuracy_per_character if score.metric == "accuracy_per_character" else score.accuracy


def _group(score: BenchmarkScore | None, name: str) -> Interval | None:
    if score is None:
        return None
    return next((group.accuracy for group in score.groups if group.name.lower() == name.lower()), None)


def _current(report: EvaluationReport, key: str) -> str | None:
    """The model's name; None for one that was evaluated under this name before it was trained further."""
    name = _name(report, key)
    return name if key == [other for other, model in report.models.items() if model.name == name][-1] else None


def _name(report: EvaluationReport, key: str) -> str:
    model = report.models.get(key)
    return key if model is None else model.name


def _percent(value: Interval | None) -> str:
    return "–" if value is None else f"{100 * value.value:.1f}"


def _small(report: EvaluationReport) -> tuple[str, ...]:
    """What the sizes prove: a difference within the intervals is no difference."""
    widths = [100 * (_usual(score).high - _usual(score).low) / 2 for score in report.benchmarks]
    if not widths or max(widths) < 2:
        return ()
    return (
        f"The samples are small: intervals reach up to {max(widths):.0f} points to each side, and a difference within "
        "them shows nothing about the data.",
    )
