"""Measures a model on benchmarks: each question an event on `measured`, those that are there already none again.

Questions are measured in batches, and each batch is confirmed on the log before the next begins: a process that was
killed anywhere continues after the last one. On SIGTERM or SIGINT it ends after the batch. No model is loaded when
everything is there.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consumers.evaluation.benchmarks.data import AnyQuestion, BenchmarkData
from consumers.evaluation.benchmarks.encoding import Prompted
from consumers.evaluation.benchmarks.engines import EngineOptions, Likelihoods, open_engine
from consumers.folds.deduplicate import first_events
from consumers.trainer.stop_signals import stop_signals
from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.source import KafkaSource, Source
from infra.log.writer import LogWriter
from infra.models.templates import Template
from infra.settings import Settings
from schemas import ids
from schemas.evaluation import EvaluatedModel, QuestionMeasured
from streams.core.evaluation.likelihood import chosen

COMPONENT = "eval"

OnQuestions = Callable[[int, int], None]
"""Called with (questions on the log, questions in all)."""


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What is measured, and how.

    run        whose log takes the events
    folder     of the model's weights
    template   of held-out rows; None: the tokenizer's chat template if it has one
    """

    run: str
    model: EvaluatedModel
    folder: Path
    template: Template | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True, kw_only=True)
class BenchmarkCount:
    """One benchmark's questions.

    questions   that were to be measured; `known` of them were on the log before, and `measured` are new
    right       of those on the log; right_per_character: by the log-likelihood per character of the choice
    loss        mean negative log-likelihood a token of held-out rows; None for questions with choices
    """

    name: str
    form: str
    sample: str
    questions: int
    known: int
    measured: int
    right: int
    right_per_character: int
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class MeasureSummary:
    """What this process did.

    complete    whether all questions are on the log; else it was stopped
    precision   None: nothing was to be measured
    cut         questions that exceeded the model's context and were cut to it: they lost their beginning, held-out rows
                the middle of their prompt and what is left over of the response
    seconds     of measuring, without loading the model
    """

    run: str
    model: str
    benchmarks: tuple[BenchmarkCount, ...]
    complete: bool
    engine: str
    precision: str | None
    cut: int
    seconds: float


def measure(
    options: MeasureOptions,
    benchmarks: Sequence[BenchmarkData],
    settings: Settings,
    *,
    on_questions: OnQuestions = lambda done, of: None,
    say: Callable[[str], None] = lambda line: None,
) -> MeasureSummary:
    """Measure the questions that are not on the run's log yet, and write each to it.

    Raises RunError when the run does not exist, TrainerError for a model that cannot be loaded or computes no finite
    values, ConfigurationError for a choice without tokens, BrokerError when the cluster does not answer.
    """
    configured, _ = read_run(settings, options.run)
    apply(settings, options.run, configured.policy.clusters)  # the run may be from before there were evaluations
    book = _Book(options.model, measured_before(KafkaSource(settings, options.run)))
    todo = [(data, [each for each in data.questions if book.id(data, each) not in book.events]) for data in benchmarks]
    known = [len(data.questions) - len(questions) for data, questions in todo]
    done, total = sum(known), sum(len(data.questions) for data in benchmarks)
    on_questions(done, total)
    engine: Likelihoods | None = None
    complete, seconds = True, 0.0
    if done < total:
        with stop_signals() as stop, LogWriter(settings, options.run, COMPONENT) as writer:
            engine = open_engine(options.folder, options.template, options.engine)
            say(f"Measuring {options.model.name} in {engine.precision}.")
            begun = time.perf_counter()
            for data, questions in todo if not stop() else ():
                asked = engine.prompted(questions)
                for found in engine.measure(data, asked):
                    book.write(writer, engine, data, {questions[at]: (asked[at], found[at]) for at in found})
                    done += len(found)
                    on_questions(done, total)
                    if stop():
                        break
                if stop():
                    complete = done == total
                    break
            seconds = time.perf_counter() - begun
        if engine.cut:
            say(f"{engine.cut} questions exceed the model's context and were cut to it.")
    return MeasureSummary(
        run=options.run,
        model=options.model.key,
        benchmarks=tuple(book.count(data, before) for data, before in zip(benchmarks, known, strict=True)),
        complete=complete,
        engine=options.engine.engine if engine is None else engine.name,
        precision=None if engine is None else engine.precision,
        cut=0 if engine is None else engine.cut,
        seconds=seconds,
    )


def measured_before(source: Source) -> dict[str, QuestionMeasured]:
    """The questions on `measured` by event id; of several with one id the first counts."""
    with source.open(["measured"]) as reading:
        return {record.id: event for record, event in first_events(reading.rest(), QuestionMeasured)}


@dataclass(frozen=True)
class _Book:
    """One model's questions on the log, by event id."""

    model: EvaluatedModel
    events: dict[str, QuestionMeasured]

    def id(self, data: BenchmarkData, question: AnyQuestion) -> str:
        return ids.measured_id(self.model.key, data.benchmark.key, question.id)

    def write(
        self,
        writer: LogWriter,
        engine: Likelihoods,
        data: BenchmarkData,
        found: Mapping[AnyQuestion, tuple[Prompted, tuple[float, ...]]],
    ) -> None:
        """Write a batch, and wait until it is confirmed."""
        new = {}
        for question, (asked, values) in found.items():
            likeliest, per_character = chosen(values, asked.choices)
            new[self.id(data, question)] = QuestionMeasured(
                model=self.model,
                benchmark=data.benchmark,
                question_id=question.id,
                group=question.group,
                group_size=data.group_sizes[question.group],
                sample=data.sample,
                question=asked.question,
                prompt_sha256=hashlib.sha256(asked.prompt.encode()).hexdigest(),
                choices=asked.choices,
                loglikelihoods=values,
                tokens=tuple(map(len, asked.tokens.continuations)),
                gold=asked.gold,
                chosen=likeliest,
                chosen_per_character=per_character,
                engine=engine.name,
                precision=engine.precision,
            )
        sent = [writer.send(event, key=self.model.key, id=id) for id, event in new.items()]
        for future in sent:
            writer.wait(future)
        self.events.update(new)

    def count(self, data: BenchmarkData, known: int) -> BenchmarkCount:
        asked = [self.id(data, question) for question in data.questions]
        events = [self.events[id] for id in asked if id in self.events]
        texts = [event for event in events if event.gold is None]
        tokens = sum(event.tokens[0] for event in texts)
        return BenchmarkCount(
            name=data.benchmark.name,
            form=data.benchmark.form,
            sample=data.sample,
            questions=len(asked),
            known=known,
            measured=len(events) - known,
            right=sum(event.chosen == event.gold for event in events),
            right_per_character=sum(event.chosen_per_character == event.gold for event in events),
            loss=-sum(event.loglikelihoods[0] for event in texts) / tokens if tokens else None,
        )
