"""Scores of benchmarks and held-out texts, from the fold of `measured`.

A share estimates the mean over the data's questions: each measured question has the weight of its group's size over the
group's questions measured. Where all are measured it is the plain share. Its interval is Wilson's, for Kish's effective
number of questions: (sum of weights)^2 / sum of squared weights, the plain number where the weights are equal.

A loss is per token: the sum over texts of the negative log-likelihoods, divided by the tokens. Its interval is a seeded
bootstrap over texts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from consumers.evaluation.measured import ARC, BenchmarkFold, Measured, QuestionVerdict, with_arc
from consumers.evaluation.mmlu_groups import MMLU_GROUPS
from consumers.evaluation.results import BenchmarkScore, GroupScore, HeldOutScore, Interval
from consumers.evaluation.statistics import ratio_interval, share_interval, weighted_mean

TITLES: Mapping[str, str] = {
    "mmlu": "MMLU",
    "hellaswag": "HellaSwag",
    "arc_easy": "ARC easy",
    "arc_challenge": "ARC challenge",
    ARC: "ARC (both)",
    "held-out": "Held-out loss",
}
METRIC = "accuracy"
"""What differences and drawings show. The papers give it for every benchmark."""

_RIGHT, _RIGHT_PER_CHARACTER = attrgetter("right"), attrgetter("right_per_character")


def scores_of(measured: Measured) -> tuple[BenchmarkScore, ...]:
    """The scores of every model on every benchmark, in the order of the log."""
    return tuple(_score(fold) for fold in with_arc(measured.folds.values()) if fold.questions)


def losses_of(measured: Measured, *, rng_seed: int = 0) -> tuple[HeldOutScore, ...]:
    """The losses of every model on every set of held-out texts, in the order of the log."""
    return tuple(
        HeldOutScore(
            model=fold.model,
            benchmark=fold.key,
            name=fold.name,
            form=_joined(fold.forms),
            texts=len(fold.texts),
            tokens=sum(text.tokens for text in fold.texts.values()),
            loss=ratio_interval(*text_columns(fold, fold.texts), rng_seed=rng_seed),
        )
        for fold in measured.folds.values()
        if fold.texts
    )


def text_columns(fold: BenchmarkFold, ids: Iterable[str]) -> tuple[list[float], list[float]]:
    """Losses and tokens of these texts. A text without tokens has the loss 0 and counts as one token."""
    texts = [fold.texts[id] for id in ids]
    return [text.loss for text in texts], [float(max(1, text.tokens)) for text in texts]


def title_of(name: str) -> str:
    """A benchmark's name for people."""
    return TITLES.get(name, name)


def _score(fold: BenchmarkFold) -> BenchmarkScore:
    benchmark = fold.benchmark
    return BenchmarkScore(
        model=fold.model,
        benchmark=fold.key,
        name=fold.name,
        title=title_of(fold.name),
        shots=benchmark.shots,
        form=_joined(fold.forms),
        sample=_joined(fold.samples),
        questions=len(fold.questions),
        of=fold.of(),
        metric=METRIC,
        accuracy=_share(fold, fold.questions, _RIGHT),
        accuracy_per_character=_share(fold, fold.questions, _RIGHT_PER_CHARACTER),
        groups=_groups(fold),
        precision=_joined(fold.precisions),
        engine=_joined(fold.engines),
    )


def _share(fold: BenchmarkFold, ids: Iterable[str], is_right: Callable[[QuestionVerdict], bool]) -> Interval:
    """The weighted share of right answers. Raises ValueError without questions."""
    asked = list(ids)
    weights = fold.weights(asked)
    effective = sum(weights) ** 2 / sum(weight**2 for weight in weights) if weights else 0.0
    share = weighted_mean(
        (weight, float(is_right(fold.questions[id]))) for id, weight in zip(asked, weights, strict=True)
    )
    return share_interval(share * effective, max(1.0, effective))


def _groups(fold: BenchmarkFold) -> tuple[GroupScore, ...]:
    """Of MMLU the groups of subjects and then the subjects; of others their groups, unless there is only one."""
    names = sorted({verdict.group for verdict in fold.questions.values()})
    if names == [""]:
        return ()
    members: dict[str, list[str]] = {}
    if fold.name == "mmlu":
        members = {group: [name for name in names if name in subjects] for group, subjects in MMLU_GROUPS.items()}
    if fold.name != ARC:  # its parts have rows of their own
        members |= {name: [name] for name in names}
    return tuple(_group(fold, name, subjects) for name, subjects in members.items() if subjects)


def _group(fold: BenchmarkFold, name: str, subjects: Sequence[str]) -> GroupScore:
    wanted = set(subjects)
    asked = [id for id, verdict in fold.questions.items() if verdict.group in wanted]
    return GroupScore(
        name=name,
        questions=len(asked),
        of=sum(fold.sizes[subject] for subject in wanted),
        accuracy=_share(fold, asked, _RIGHT),
        accuracy_per_character=_share(fold, asked, _RIGHT_PER_CHARACTER),
    )


def _joined(values: Iterable[str]) -> str:
    return " + ".join(value for value in values if value)
