"""The sentences beside an evaluation's numbers: how they were computed, and what they leave out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from consumers.evaluation.cells import contender
from consumers.evaluation.measured import ARC, ARC_PARTS
from consumers.evaluation.measures import title_of
from consumers.evaluation.mmlu_groups import MMLU_GROUPS, MMLU_QUESTIONS
from consumers.evaluation.results import ComparisonScore, EvaluationReport
from schemas.evaluation import EvaluatedModel

PUBLISHED = "published"
PUBLISHED_QUESTIONS: Mapping[str, int] = {
    "arc_easy": 2376,
    "arc_challenge": 1172,
    "hellaswag": 10042,
    "mmlu": sum(MMLU_QUESTIONS.values()),
}
"""In the parts that are asked: the tests, and of HellaSwag the validation."""

_EQUAL: Mapping[str, str] = {
    "tie": "Equal scores in an order count as an order that neither wins.",
    "decided": "Equal scores in an order leave the decision to the other order.",
    "average": "The larger mean score of both orders wins.",
}


def labels(models: Mapping[str, EvaluatedModel]) -> dict[str, str]:
    """A label for each model by key: its name, or its key where another one has the same name."""
    names = [model.name for model in models.values()]
    return {key: model.name if names.count(model.name) == 1 else key for key, model in models.items()}


def notes_of(report: EvaluationReport, names: Mapping[str, str]) -> tuple[str, ...]:
    """The notes of a report. `names`: the models' labels."""
    measured = _benchmarks(report, names), _held_out(report, names)
    answered = _answers(report), _generation(report, names), _comparisons(report, names)
    parts = _unreadable(report), _trained(report, names), *measured, *answered
    return tuple(note for part in parts for note in part)


def _unreadable(report: EvaluationReport) -> Iterator[str]:
    for topic, number in report.unreadable.items():
        yield f"Records of {topic} that could not be read, and are in no number here: {number:,}."


def _trained(report: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    for key, model in report.models.items():
        if model.trained is not None:
            yield f"{names[key]} was trained by run {model.trained.run} for {model.trained.step:,} steps."


def _benchmarks(report: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    if not report.benchmarks:
        return
    asked = [score for score in report.benchmarks if score.name != ARC]
    for title, form in dict.fromkeys((score.title, score.form) for score in asked if score.form != PUBLISHED):
        yield (
            f"{title} was asked in a form that differs from the published one ({form}): its numbers compare with one "
            "another, not with published ones."
        )
    yield from _parts_of_published(report)
    yield from _samples(report, names)
    yield from _versions(report)
    precisions = {score.precision for score in asked}
    if len(precisions) > 1:
        yield f"The models were measured in different precisions: {', '.join(sorted(precisions))}."
    yield (
        "Accuracy is the share of questions whose likeliest choice is right; per character, each choice's "
        "log-likelihood is divided by its length first. The intervals are Wilson's, of 95 %; with groups, each "
        "question has the weight of its group's size over the group's questions measured."
    )
    if report.differences:
        yield (
            f"Differences are to {names[report.differences[0].first]}, on the questions that both models were "
            "measured on, with a paired bootstrap over questions. An interval that holds zero is no evidence of one."
        )


def _parts_of_published(report: EvaluationReport) -> Iterator[str]:
    """Files that hold another number of questions than the published ones."""
    sizes: dict[str, dict[int, None]] = defaultdict(dict)
    for score in report.benchmarks:
        subjects = sum(group.name not in MMLU_GROUPS for group in score.groups)
        if score.name != "mmlu" or subjects == _SUBJECTS:
            sizes[score.name][score.of] = None
    for name, found in sizes.items():
        for of in found:
            if of != PUBLISHED_QUESTIONS.get(name, of):
                yield (
                    f"{title_of(name)}: the file holds {of:,} questions, the published one "
                    f"{PUBLISHED_QUESTIONS[name]:,}."
                )


def _samples(report: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    """What part of each benchmark was asked, models with the same part together."""
    parts: defaultdict[tuple[str, int, int, str, int], list[str]] = defaultdict(list)
    for score in report.benchmarks:
        subjects = sum(group.name not in MMLU_GROUPS for group in score.groups)
        if score.name != ARC and (score.questions < score.of or (score.name == "mmlu" and subjects < _SUBJECTS)):
            parts[score.title, score.questions, score.of, score.sample, subjects].append(names[score.model])
    for (title, questions, of, sample, subjects), models in parts.items():
        whole = f"{title}: {questions:,} of {of:,} questions"
        if title == title_of("mmlu") and subjects < _SUBJECTS:
            whole += f" of {subjects} of the {_SUBJECTS} subjects"
        union = " (several samples; their union counts)" if " + " in sample else ""
        named = f", {sample}{union}" if sample else ", the rest is not measured yet"
        yield f"{whole} ({', '.join(models)}){named}."


_SUBJECTS = sum(map(len, MMLU_GROUPS.values()))


def _versions(report: EvaluationReport) -> Iterator[str]:
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for score in report.benchmarks:
        keys[score.name].add(score.benchmark)
    for name, found in keys.items():
        if len(found) > 1 and name != ARC:
            unpaired = " ARC's mean is left out where a model has several." if name in ARC_PARTS else ""
            yield (
                f"{title_of(name)} was asked with {len(found)} different files, forms or numbers of shots. Each has "
                f"rows of its own.{unpaired}"
            )


def _held_out(report: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    if not report.held_out:
        return
    yield (
        "A held-out loss is the negative log-likelihood per token of responses that were not trained, in nats; less is "
        "better. Its interval is a bootstrap over texts."
    )
    tokens: defaultdict[str, set[int]] = defaultdict(set)
    texts: defaultdict[str, set[int]] = defaultdict(set)
    for score in report.held_out:
        tokens[score.benchmark].add(score.tokens)
        texts[score.benchmark].add(score.texts)
    for benchmark in tokens:
        if len(tokens[benchmark]) > 1 and len(texts[benchmark]) == 1:
            models = [names[score.model] for score in report.held_out if score.benchmark == benchmark]
            yield (
                f"{', '.join(models)} split the held-out texts into tokens differently: their losses per token do not "
                "compare, and no difference is given."
            )


def _answers(report: EvaluationReport) -> Iterator[str]:
    judges = {found.refusal_judge for found in report.answers} - {""}
    judges |= {more.judge for found in report.answers for more in found.more_judges}
    if any(found.refusals_by_list is not None for found in report.answers):
        yield (
            "Refusals by list: answers that begin with one of our own English phrases. The list misses refusals in "
            "other words."
        )
    if judges:
        yield f"Refusals by judge: by {', '.join(sorted(judges))}, over the answers whose judgement could be read."


def _generation(report: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    if not report.generation:
        return
    yield (
        "ROUGE-L and METEOR compare an answer with the most similar of its references, averaged over prompts and "
        "bootstrapped over them. An empty or refused answer scores 0, one whose call failed is not scored."
    )
    if any(score.meteor_matching and "synonym" not in score.meteor_matching for score in report.generation):
        yield (
            "METEOR matched words exactly and by stem, without WordNet's synonyms: it does not compare with a "
            "published METEOR."
        )
    for score in report.generation:
        if score.without_tokens:
            yield (
                f"{score.set}, {names[score.model]}: of {score.scored:,} prompts, {score.without_tokens:,} have only "
                "references without ASCII letters or digits. Their ROUGE-L is 0 for any answer."
            )


def _comparisons(report: EvaluationReport, names: Mapping[str, str]) -> Iterator[str]:
    if not report.comparisons:
        return
    yield (
        "Each prompt is judged in both orders: twice better is a win, once each a tie, twice worse a loss. "
        f"{_EQUAL.get(report.comparisons[0].equal, report.comparisons[0].equal)} Ties count as half in a win rate; its "
        "interval is a bootstrap over prompts."
    )
    if any(score.length_controlled is not None for score in report.comparisons):
        yield (
            "The length-controlled rate is our own: a logistic regression on the difference of lengths, without the "
            "published one's difficulty of each prompt."
        )
    if any(rate is not None and rate.low == rate.high for rate in (score.win_rate for score in report.comparisons)):
        yield (
            "A win rate whose interval has no width is of one prompt, or of prompts that all ended alike. Drawing "
            "these again shows nothing else: it is no certainty."
        )
    for score in _overall(report.comparisons):
        left = score.prompts - score.scored
        if left:
            unanswered = left - score.unread - score.unjudged
            reasons = f"{score.unread:,} unread, {score.unjudged:,} not judged, {unanswered:,} without an answer"
            yield (
                f"{contender(names, score.first, score.first_system, score.first_conditions)} against "
                f"{contender(names, score.second, score.second_system, score.second_conditions)} by "
                f"{score.judge}: not scored are {left:,} of {score.prompts:,} prompts ({reasons}). "
                "None counts as a loss."
            )


def _overall(scores: Iterable[ComparisonScore]) -> list[ComparisonScore]:
    """Of each pair and judge the row of all sets, which comes last."""
    last: dict[tuple[str, ...], ComparisonScore] = {}
    for score in scores:
        first = score.first, score.first_system, score.first_conditions
        second = score.second, score.second_system, score.second_conditions
        last[*first, *second, score.judge] = score
    return list(last.values())
