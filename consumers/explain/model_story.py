"""The story of an evaluated model: from its scores to its questions, and from it to the rows it was trained on."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial

from consumers.copied_fields import fields_of
from consumers.explain.history import TopicRecords
from consumers.explain.schema.evaluation import (
    AnsweredSet,
    BenchmarkStory,
    EpochRows,
    ModelStory,
    QuestionSummary,
    TrainedRows,
)
from consumers.folds.deduplicate import Deduplicator, ReadProgress, first_events, no_progress, records
from infra.log.source import Source
from schemas.errors import RunError
from schemas.evaluation import AnswerGiven, AnswersJudged, Asked, Benchmark, EvaluatedModel, QuestionMeasured, TrainedBy
from schemas.events import TrainingLogged


def model_of(source: Source, key: str, progress: ReadProgress = no_progress) -> ModelStory:
    """The story of the model with this key (`EvaluatedModel.key`)."""
    with source.open(["measured", "answers", "judgements", "training-log"]) as reading:
        read = partial(records, reading, progress=progress)
        found = _Found(key)
        found.measured(read)
        found.answered(read)
        judged, unread = _judged(key, read)
        if found.model is None:
            raise RunError(f"Model {key} is not on the log any more: it changed while it was read. Try again.")
        trained = found.model.trained
        return ModelStory(
            key=key,
            model=found.model,
            benchmarks=tuple(map(_benchmark, found.questions.values())),
            answers=tuple(
                AnsweredSet(asked=asked, outcomes=dict(outcomes), ids=tuple(ids))
                for asked, outcomes, ids in found.answers.values()
            ),
            judged=judged,
            unread=unread,
            trained=None if trained is None else _trained(trained, source.run, read),
        )


@dataclass
class _Found:
    """What is on the log about a model; questions by benchmark, answers by conditions."""

    key: str
    model: EvaluatedModel | None = None
    questions: dict[str, tuple[Benchmark, list[QuestionSummary]]] = field(default_factory=dict)
    answers: dict[str, tuple[Asked, Counter[str], list[str]]] = field(default_factory=dict)
    _deduplicator: Deduplicator = field(default_factory=Deduplicator)

    def measured(self, read: TopicRecords) -> None:
        for record in read("measured"):
            event = record.event
            if not isinstance(event, QuestionMeasured) or event.model.key != self.key:
                continue
            if self._deduplicator.first(event, record.id):
                self.model = self.model or event.model
                _, asked = self.questions.setdefault(event.benchmark.key, (event.benchmark, []))
                asked.append(QuestionSummary(id=record.id, **fields_of(QuestionSummary, event)))

    def answered(self, read: TopicRecords) -> None:
        for record in read("answers"):
            event = record.event
            if not isinstance(event, AnswerGiven) or event.model.key != self.key:
                continue
            if self._deduplicator.first(event, record.id):
                self.model = self.model or event.model
                _, outcomes, ids = self.answers.setdefault(event.asked.key, (event.asked, Counter(), []))
                outcomes[event.outcome] += 1
                ids.append(record.id)


def _benchmark(found: tuple[Benchmark, list[QuestionSummary]]) -> BenchmarkStory:
    benchmark, asked = found
    with_gold = [one for one in asked if one.gold is not None]
    return BenchmarkStory(
        benchmark=benchmark,
        questions=len(asked),
        right=sum(one.chosen == one.gold for one in with_gold),
        right_per_character=sum(one.chosen_per_character == one.gold for one in with_gold),
        asked=tuple(sorted(asked, key=lambda one: one.chosen == one.gold)),
    )


def _judged(key: str, read: TopicRecords) -> tuple[int, int]:
    """Judgements of the model's answers with scores, and without."""
    deduplicator, counts = Deduplicator(), Counter[bool]()
    for record in read("judgements"):
        event = record.event
        if isinstance(event, AnswersJudged) and key in event.models and deduplicator.first(event, record.id):
            counts[event.scores is not None] += 1
    return counts[True], counts[False]


def _trained(trained: TrainedBy, run: str, read: TopicRecords) -> TrainedRows:
    """The rows of the steps up to the model's, if this is the log of the run that trained it."""
    rows: defaultdict[int, list[str]] = defaultdict(list)
    steps: Counter[int] = Counter()
    for _, event in first_events(read("training-log") if trained.run == run else (), TrainingLogged):
        for step in event.steps:
            if step.step <= trained.step:
                steps[event.epoch] += 1
                rows[event.epoch] += [row.id for row in step.rows]
    return TrainedRows(
        run=trained.run,
        step=trained.step,
        steps=steps.total(),
        offsets=trained.offsets,
        epochs=tuple(_epoch(epoch, steps[epoch], rows[epoch]) for epoch in sorted(steps)),
    )


def _epoch(epoch: int, steps: int, ids: list[str]) -> EpochRows:
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return EpochRows(epoch=epoch, steps=steps, rows=len(ids), first=first, last=last, ids=tuple(ids))
