"""The fold of `measured`: of each model and benchmark, the questions that were measured, each once.

A question that is on the log more than once counts once, the first one. Questions of several samples of one benchmark
are put together. Different data, shots or forms of the prompt are different benchmarks (`Benchmark.key`).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.folds.deduplicate import Deduplicator, ReadProgress, no_progress, records
from infra.log.source import Source
from schemas.evaluation import Benchmark, EvaluatedModel, QuestionMeasured

ARC = "arc"
ARC_PARTS = ("arc_easy", "arc_challenge")


@dataclass(frozen=True, slots=True)
class QuestionVerdict:
    """Whether the likeliest choice, and the likeliest per character, was right."""

    group: str
    right: bool
    right_per_character: bool


@dataclass(frozen=True, slots=True)
class TextLoss:
    """The negative log-likelihood of a text, in nats, and its tokens."""

    loss: float
    tokens: int


@dataclass
class BenchmarkFold:
    """What was measured of a benchmark with a model.

    questions   with a right choice, by id
    texts       without one: held-out texts, by id
    sizes       questions in the data, by group
    forms, samples, engines, precisions   all that occur, in the order of the log
    """

    model: str
    benchmark: Benchmark
    key: str
    name: str
    questions: dict[str, QuestionVerdict] = field(default_factory=dict)
    texts: dict[str, TextLoss] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    forms: dict[str, None] = field(default_factory=dict)
    samples: dict[str, None] = field(default_factory=dict)
    engines: dict[str, None] = field(default_factory=dict)
    precisions: dict[str, None] = field(default_factory=dict)

    def take(self, event: QuestionMeasured) -> None:
        """Take a question into account; not for repeats."""
        self.sizes[event.group] = max(event.group_size, self.sizes.get(event.group, 0))
        self.forms[event.benchmark.form] = None
        self.samples[event.sample] = None
        self.engines[event.engine] = None
        self.precisions[event.precision] = None
        if event.gold is None:
            self.texts[event.question_id] = TextLoss(-event.loglikelihoods[0], event.tokens[0])
            return
        right, right_per_character = event.chosen == event.gold, event.chosen_per_character == event.gold
        self.questions[event.question_id] = QuestionVerdict(event.group, right, right_per_character)

    def of(self) -> int:
        """Questions in the data, of the groups that were measured."""
        return sum(self.sizes.values())

    def weights(self, ids: Iterable[str]) -> list[float]:
        """How many questions of the data each of these stands for: its group's size over how many of it are given."""
        groups = [self.questions[id].group for id in ids]
        measured: defaultdict[str, int] = defaultdict(int)
        for group in groups:
            measured[group] += 1
        return [max(self.sizes[group], measured[group]) / measured[group] for group in groups]


@dataclass
class Measured:
    """The whole topic: models by key, and what was measured, both in the order of the log."""

    models: dict[str, EvaluatedModel] = field(default_factory=dict)
    folds: dict[tuple[str, str], BenchmarkFold] = field(default_factory=dict)
    unreadable: int = 0

    def take(self, event: QuestionMeasured) -> None:
        if event.gold is None and not (event.loglikelihoods and event.tokens):
            self.unreadable += 1  # a text without its likelihood, which an audit reports
            return
        model, benchmark = event.model.key, event.benchmark.key
        self.models.setdefault(model, event.model)
        fold = self.folds.get((model, benchmark))
        if fold is None:
            fold = BenchmarkFold(model, event.benchmark, benchmark, event.benchmark.name)
            self.folds[model, benchmark] = fold
        fold.take(event)


def read_measured(source: Source, progress: ReadProgress = no_progress) -> Measured:
    """The fold of a run's `measured`. `progress` is called with how many more records were read."""
    found, deduplicator = Measured(), Deduplicator()
    with source.open(["measured"]) as reading:
        for record in records(reading, "measured", progress):
            if not isinstance(record.event, QuestionMeasured):
                found.unreadable += 1
            elif deduplicator.first(record.event, record.id):
                found.take(record.event)
    return found


def with_arc(folds: Iterable[BenchmarkFold]) -> tuple[BenchmarkFold, ...]:
    """The folds, and after the two parts of ARC a fold `arc` of both, in which each part has the weight of its size.

    There is none for a model with only one part, or with several versions of a part: which belong together is unknown.
    """
    given = tuple(folds)
    parts: defaultdict[tuple[str, int, int], list[BenchmarkFold]] = defaultdict(list)
    for fold in given:
        if fold.name in ARC_PARTS and fold.questions:
            asked = parts[fold.model, fold.benchmark.version, fold.benchmark.shots]
            asked.append(fold)
    whole = [found for found in parts.values() if sorted(fold.name for fold in found) == sorted(ARC_PARTS)]
    after = {id(found[-1]): _both(sorted(found, key=lambda fold: ARC_PARTS.index(fold.name))) for found in whole}
    return tuple(each for fold in given for each in (fold, after.get(id(fold))) if each is not None)


def _both(parts: list[BenchmarkFold]) -> BenchmarkFold:
    """One benchmark whose groups are the parts."""
    first = parts[0]
    key = "+".join(part.key for part in parts)
    both = BenchmarkFold(first.model, first.benchmark, key, ARC)
    for part in parts:
        both.sizes[part.name] = part.of()
        both.questions |= {
            f"{part.name}/{id}": QuestionVerdict(part.name, verdict.right, verdict.right_per_character)
            for id, verdict in part.questions.items()
        }
        both.forms |= part.forms
        both.samples |= part.samples
        both.engines |= part.engines
        both.precisions |= part.precisions
    return both
