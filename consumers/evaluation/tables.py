"""A report of evaluations as tables of text, for the terminal and for the page."""

from collections.abc import Iterator, Mapping, Sequence

from consumers.evaluation.cells import contender, number_interval, percent, percent_interval, shortened
from consumers.evaluation.mmlu_groups import MMLU_GROUPS
from consumers.evaluation.notes import labels
from consumers.evaluation.results import (
    AnswerCounts,
    BenchmarkDifference,
    BenchmarkScore,
    ComparisonScore,
    EvaluationReport,
)
from consumers.html_page import Table

_DIGITS = 12  # of a digest


def tables(found: EvaluationReport, *, details: bool = True) -> list[Table]:
    """All tables that have rows, the most important first; `details`: with every subject and category."""
    names = labels(found.models)
    made = [
        _models(found, names),
        _benchmarks(found, names),
        _measured(found, names),
        _held_out(found, names),
        _differences(found, names),
        *_comparisons(found, names),
        _strengths(found, names),
        _generation(found, names),
        _answers(found, names),
        _refusals(found, names),
        *(_groups(found, names, details=details)),
        *(_categories(found, names) if details else ()),
    ]
    return [table for table in made if table.rows]


def by_benchmark(scores: Sequence[BenchmarkScore]) -> list[BenchmarkScore]:
    """Scores of one benchmark next to one another, in the order in which benchmarks and models first occur."""
    places = {benchmark: place for place, benchmark in enumerate(dict.fromkeys(score.benchmark for score in scores))}
    return sorted(scores, key=lambda score: places[score.benchmark])


def _models(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = []
    for key, model in found.models.items():
        trained = "–" if model.trained is None else f"run {model.trained.run}, step {model.trained.step:,}"
        digest = "–" if model.sha256 is None else model.sha256[:_DIGITS]
        rows.append((names[key], model.kind, model.source, digest, trained))
    return Table("Models", ("model", "kind", "source", "sha256", "trained by"), tuple(rows))


def _benchmarks(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    """Models side by side."""
    scores = {(score.benchmark, score.model): score for score in found.benchmarks}
    titles = {score.benchmark: _with_shots(score) for score in found.benchmarks}
    models = dict.fromkeys(score.model for score in found.benchmarks)
    rows = tuple(
        (title, *_side_by_side([scores.get((benchmark, model)) for model in models]))
        for benchmark, title in titles.items()
    )
    return Table("Benchmarks, accuracy", ("benchmark", *(f"#{names[model]}" for model in models)), rows)


def _side_by_side(scores: Sequence[BenchmarkScore | None]) -> Iterator[str]:
    for score in scores:
        yield percent_interval(None if score is None else score.accuracy)


def _with_shots(score: BenchmarkScore) -> str:
    return f"{score.title}, {score.shots}-shot"


def _measured(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            _with_shots(score),
            names[score.model],
            f"{score.questions:,}",
            f"{score.of:,}",
            percent_interval(score.accuracy),
            percent_interval(score.accuracy_per_character),
            score.sample or ("all" if score.questions >= score.of else "–"),
            score.form,
            score.precision,
            score.engine,
        )
        for score in by_benchmark(found.benchmarks)
    )
    columns = ("benchmark", "model", "#questions", "#of", "#accuracy", "#per character", "sample", "form")
    return Table("What was measured", (*columns, "precision", "engine"), rows)


def _held_out(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (score.form, names[score.model], f"{score.texts:,}", f"{score.tokens:,}", number_interval(score.loss))
        for score in found.held_out
    )
    return Table("Held-out loss per token", ("file", "model", "#texts", "#tokens", "#loss"), rows)


def _differences(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            difference.title,
            f"{names[difference.second]} − {names[difference.first]}",
            f"{difference.questions:,}",
            _score(difference, difference.first_score),
            _score(difference, difference.second_score),
            _points(difference),
            f"{difference.better:,}",
            f"{difference.worse:,}",
            _verdict(difference),
        )
        for difference in found.differences
    )
    columns = ("benchmark", "models", "#common", "#before", "#after", "#difference", "#better", "#worse", "verdict")
    return Table("Differences, on common questions", columns, rows)


def _score(difference: BenchmarkDifference, score: float) -> str:
    return f"{score:.3f}" if difference.metric == "loss" else percent(score)


def _points(difference: BenchmarkDifference) -> str:
    found = difference.difference
    if difference.metric == "loss":
        return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _verdict(difference: BenchmarkDifference) -> str:
    if not difference.clear:
        return "no clear difference"
    return "better" if (difference.difference.low > 0) != (difference.metric == "loss") else "worse"


def _comparisons(found: EvaluationReport, names: Mapping[str, str]) -> Iterator[Table]:
    columns = ("set", "#prompts", "#scored", "#win", "#tie", "#lose", "#win rate", "#length-controlled")
    more = ("#orders disagree", "#first place wins", "#unread", "#not judged", "#without an answer", "#cut")
    for title, scores in pairs(found.comparisons, names).items():
        yield Table(title, (*columns, *more), tuple(_comparison(names, score) for score in scores))


def pairs(scores: Sequence[ComparisonScore], names: Mapping[str, str]) -> dict[str, list[ComparisonScore]]:
    """The scores of each pair of models and judge, with a title for it."""
    by_title: dict[str, list[ComparisonScore]] = {}
    for score in scores:
        first = contender(names, score.first, score.first_system, score.first_conditions)
        second = contender(names, score.second, score.second_system, score.second_conditions)
        by_title.setdefault(f"{first} against {second}, judged by {score.judge}", []).append(score)
    return by_title


def _comparison(names: Mapping[str, str], score: ComparisonScore) -> tuple[str, ...]:
    return (
        score.set,
        f"{score.prompts:,}",
        f"{score.scored:,}",
        f"{score.win:,}",
        f"{score.tie:,}",
        f"{score.lose:,}",
        percent_interval(score.win_rate),
        percent_interval(score.length_controlled),
        percent(score.orders_disagree),
        percent(score.first_place_wins),
        f"{score.unread:,}",
        f"{score.unjudged:,}",
        _by_model(names, score.unanswered),
        _by_model(names, score.cut),
    )


def _by_model(names: Mapping[str, str], counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {names.get(model, model)}" for model, number in counts.items() if number) or "0"


def _strengths(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            contender(names, strength.model, strength.system, strength.conditions),
            number_interval(strength.strength),
            f"{strength.prompts:,}",
            strength.judge,
        )
        for strength in sorted(found.strengths, key=lambda strength: (strength.judge, -strength.strength.value))
    )
    return Table("Strengths (Bradley–Terry, log-odds)", ("model", "#strength", "#comparisons", "judge"), rows)


def _generation(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            score.set,
            f"{score.shots}",
            contender(names, score.model, "", score.conditions),
            f"{score.scored:,}",
            percent_interval(score.rouge_l),
            percent_interval(score.meteor),
            score.meteor_matching or "–",
            f"{score.without_reference:,}",
            _outcomes(score.outcomes),
        )
        for score in found.generation
    )
    columns = ("set", "#shots", "model", "#scored", "#ROUGE-L", "#METEOR", "METEOR matches", "#no reference", "answers")
    return Table("Generation, compared with references", columns, rows)


def _categories(found: EvaluationReport, names: Mapping[str, str]) -> Iterator[Table]:
    for score in found.generation:
        groups = tuple((name, f"{n:,}", percent(value)) for name, (n, value) in sorted(score.by_group.items()))
        title = f"{score.set}, {score.shots}-shot, {contender(names, score.model, '', score.conditions)}: by category"
        yield Table(title, ("category", "#prompts", "#ROUGE-L"), groups if len(groups) > 1 else ())


def _answers(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            counts.set,
            contender(names, counts.model, "", counts.conditions),
            shortened(counts.system) or "–",
            f"{counts.prompts:,}",
            *(f"{counts.outcomes.get(name, 0):,}" for name in _OUTCOMES),
            f"{counts.characters:,.0f}",
        )
        for counts in found.answers
    )
    columns = ("set", "model", "system prompt", "#prompts", *(f"#{name}" for name in _OUTCOMES), "#mean characters")
    return Table("Answers", columns, rows)


def _refusals(found: EvaluationReport, names: Mapping[str, str]) -> Table:
    """Only where a judge looked for refusals, or the list found some."""
    shown = [counts for counts in found.answers if counts.judged or _found_refusals(counts)]
    rows = tuple(row for counts in shown for row in _refusal(names, counts))
    columns = ("set", "model", "system prompt", "#by list", "#by judge", "#judged", "#unread", "judge")
    return Table("Refusals, of answers with a text", columns, rows)


def _found_refusals(counts: AnswerCounts) -> bool:
    return counts.refusals_by_list is not None and counts.refusals_by_list.value > 0


def _refusal(names: Mapping[str, str], counts: AnswerCounts) -> Iterator[tuple[str, ...]]:
    """A row for each judge; one without any."""
    about = counts.set, contender(names, counts.model, "", counts.conditions), shortened(counts.system) or "–"
    of_list = percent_interval(counts.refusals_by_list)
    first = counts.refusals_by_judge, counts.judged, counts.unread, counts.refusal_judge
    more = [(one.refusals, one.judged, one.unread, one.judge) for one in counts.more_judges]
    for refusals, judged, unread, judge in (first, *more):
        yield *about, of_list, percent_interval(refusals), f"{judged:,}", f"{unread:,}", judge or "–"


_OUTCOMES = ("answered", "cut", "empty", "refused", "failed")


def _outcomes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in _OUTCOMES if counts.get(name)) or "none"


def _groups(found: EvaluationReport, names: Mapping[str, str], *, details: bool) -> Iterator[Table]:
    """Of each benchmark with groups, models side by side; without `details` only MMLU's groups of subjects."""
    by_benchmark: dict[str, list[BenchmarkScore]] = {}
    for score in found.benchmarks:
        if score.groups:
            by_benchmark.setdefault(score.benchmark, []).append(score)
    for scores in by_benchmark.values():
        groups = [
            {group.name: group for group in score.groups if details or group.name in MMLU_GROUPS} for score in scores
        ]
        rows = []
        for name in dict.fromkeys(name for group in groups for name in group):
            given = [group.get(name) for group in groups]
            of = max(group.of for group in given if group is not None)
            asked = ", ".join(dict.fromkeys("–" if group is None else f"{group.questions:,}" for group in given))
            cells = (percent_interval(None if group is None else group.accuracy) for group in given)
            rows.append((name.replace("_", " "), f"{asked}", f"{of:,}", *cells))
        what = "group and subject" if details else "group"
        columns = (what.replace("and", "or"), "#questions", "#of", *(f"#{names[score.model]}" for score in scores))
        yield Table(f"{_with_shots(scores[0])}, accuracy by {what}", columns, tuple(rows))
