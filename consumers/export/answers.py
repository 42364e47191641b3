"""An export of the answers that models gave to sets of prompts, from beginning to end.

    alpaca-eval   JSON array of instruction, output, generator, dataset: AlpacaEval's model outputs, a file a model
    predictions   JSON Lines of instruction, input, response: Self-Instruct's predictions, a file a model; `sedi eval`
                  reads them as a model's answers
    jsonl         JSON Lines of all fields, in one file

A model that was asked under several conditions (system prompt, solved examples, sampling) has a file for each. Answers
that were refused or failed have no text: they are counted in the manifest, and stand in `jsonl` only. An empty answer
is an answer. All is written in one pass over the log; memory holds counts.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from consumers.export.answers_card import answers_card
from consumers.export.card import CARD
from consumers.export.folder import complete_folder, require_new
from consumers.export.formats import TextFile, TextFormat
from consumers.export.manifest import (
    AnswerSeries,
    AnswersManifest,
    AnswersRequest,
    CoveredOffsets,
    file_of,
    write_manifest,
)
from consumers.folds.deduplicate import Deduplicator
from infra.log.source import Reading, Source
from schemas.errors import ConfigurationError, RunError
from schemas.evaluation import AnswerGiven, Asked, EvaluatedModel

AnswerFormat = Literal["alpaca-eval", "predictions", "jsonl"]
ANSWER_FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)

OnAnswers = Callable[[int, int], None]
"""Called now and then with (records read, records in all)."""

_STEM = re.compile(r"[^A-Za-z0-9._@+-]+")
_LONGEST_STEM = 80


@dataclass(frozen=True)
class AnswerExportOptions:
    """Options of an export of answers.

    models    only these, by name or key; none for all
    sets      only answers to these sets of prompts; none for all
    license   as the data card names it
    """

    formats: tuple[AnswerFormat, ...] = ("alpaca-eval",)
    models: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    license: str = "unknown"

    def __post_init__(self) -> None:
        # in one order, so that equal options give equal files
        object.__setattr__(self, "formats", tuple(name for name in ANSWER_FORMATS if name in self.formats))
        object.__setattr__(self, "models", tuple(sorted(set(self.models))))
        object.__setattr__(self, "sets", tuple(sorted(set(self.sets))))

    def has(self, event: AnswerGiven) -> bool:
        """Whether an answer is exported."""
        of_model = not self.models or event.model.name in self.models or event.model.key in self.models
        return of_model and (not self.sets or event.asked.prompts in self.sets)


class AlpacaEvalOutput(msgspec.Struct, frozen=True):
    """An answer as AlpacaEval reads it."""

    instruction: str
    output: str
    generator: str
    dataset: str


class Prediction(msgspec.Struct, frozen=True):
    """An answer as Self-Instruct writes it, and which prompt it is to."""

    instruction: str
    input: str
    response: str
    prompt_id: str
    set: str


class _Line(NamedTuple):
    """An answer, its id, and where and when it was written."""

    id: str
    offset: int
    time: str
    event: AnswerGiven


def export_answers(
    source: Source, folder: Path, options: AnswerExportOptions, on_answers: OnAnswers = lambda done, total: None
) -> AnswersManifest:
    """Write the answers on the run's log into `folder`, which must not exist yet.

    Raises ConfigurationError for a folder that cannot be written, or a model or set without answers, RunError when
    there are no answers at all.
    """
    require_new(folder)
    with complete_folder(folder) as work, source.open(["answers"]) as reading:
        job = _Job(options, work)
        with job.files:
            job.write(reading, on_answers)
        job.require_found(source)
        place = "answers", 0
        covered = CoveredOffsets(topic="answers", partition=0, start=reading.starts()[place], end=reading.ends()[place])
        manifest = AnswersManifest(
            run=source.run,
            answers=sum(sum(series.sets.values()) for series in job.series.values()),
            options=AnswersRequest(
                formats=options.formats,
                models=options.models or None,
                sets=options.sets or None,
                license=options.license,
            ),
            series=tuple(series.described() for series in job.series.values()),
            offsets=(covered,),
            files=tuple(file_of(work / name, rows) for name, rows in sorted(job.rows.items())),
        )
        (work / CARD).write_text(answers_card(manifest), encoding="utf-8", newline="\n")
        manifest = replace(manifest, files=(*manifest.files, file_of(work / CARD, None)))
        write_manifest(work, manifest)
    return manifest


@dataclass
class _Series:
    """A model's answers under one set of conditions, so far."""

    name: str
    model: EvaluatedModel
    asked: Asked
    sets: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def described(self) -> AnswerSeries:
        asked = self.asked
        return AnswerSeries(
            name=self.name,
            model=self.model.key,
            system=asked.system,
            shots=asked.shots,
            template=asked.template,
            parameters=asked.parameters,
            sets=dict(self.sets),
            outcomes=dict(self.outcomes),
        )


@dataclass
class _Job:
    """One pass over the answers. `rows`: in each file so far."""

    options: AnswerExportOptions
    work: Path
    series: dict[tuple[str, str], _Series] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    files: ExitStack = field(default_factory=ExitStack)
    _names: set[str] = field(default_factory=set)
    _open: dict[str, TextFile[_Line]] = field(default_factory=dict)

    def write(self, reading: Reading, on_answers: OnAnswers) -> None:
        first, total = reading.starts()["answers", 0], reading.ends()["answers", 0]
        for line in _lines(reading):
            if self.options.has(line.event):
                self._write(line)
            on_answers(line.offset + 1 - first, total - first)
        for file in self._open.values():
            file.close()

    def require_found(self, source: Source) -> None:
        """Raise an error when nothing was exported, or nothing of a model or set that was asked for."""
        models = {name for series in self.series.values() for name in (series.model.name, series.model.key)}
        sets = {name for series in self.series.values() for name in series.sets}
        for what, wanted, found in (("--model", self.options.models, models), ("--set", self.options.sets, sets)):
            missing = [name for name in wanted if name not in found]
            if missing:
                raise ConfigurationError(
                    f"{source.name} has no answers of {what} {missing[0]!r}. See which there are: `sedi eval report`."
                )
        if not self.series:
            raise RunError(f"{source.name} has no answers of models. Let a model answer a set: `sedi eval answers`.")

    def _write(self, line: _Line) -> None:
        event = line.event
        conditions = replace(event.asked, prompts="", sha256="0" * 64)
        key = event.model.key, conditions.key
        if key not in self.series:
            self.series[key] = _Series(self._name(event.model), event.model, conditions)
        series = self.series[key]
        series.sets[event.asked.prompts] += 1
        series.outcomes[event.outcome] += 1
        for format in self.options.formats:
            if format == "jsonl" or event.outcome not in ("refused", "failed"):
                self._add(_FORMATS[format](series.name), line)

    def _add(self, format: TextFormat[_Line], line: _Line) -> None:
        if format.file not in self._open:
            self._open[format.file] = TextFile(self.work, format)
            self.files.callback(self._open[format.file].abort)
        self._open[format.file].write((line,))
        self.rows[format.file] += 1

    def _name(self, model: EvaluatedModel) -> str:
        """A file name's part for a model: its name, with a number where another series has that."""
        stem = _STEM.sub("-", model.name).strip(".-")[:_LONGEST_STEM] or "model"
        names = chain((stem,), (f"{stem}+{number}" for number in count(2)))
        name = next(name for name in names if name.casefold() not in self._names)
        self._names.add(name.casefold())
        return name


def _lines(reading: Reading) -> Iterator[_Line]:
    """The answers, each once: of equal ids the first."""
    deduplicator = Deduplicator()
    while (record := reading.next("answers", 0)) is not None:
        event, decoded = record.event, record.decoded
        if decoded is not None and isinstance(event, AnswerGiven) and deduplicator.first(event, record.id):
            yield _Line(record.id, record.offset, decoded.meta.time, event)


def _alpaca_eval(line: _Line) -> AlpacaEvalOutput:
    event = line.event
    prompt = f"{event.instruction}\n\n{event.input}" if event.input.strip() else event.instruction
    return AlpacaEvalOutput(prompt, event.text, event.model.name, event.asked.prompts)


def _prediction(line: _Line) -> Prediction:
    event = line.event
    return Prediction(event.instruction, event.input, event.text, event.prompt_id, event.asked.prompts)


def _whole(line: _Line) -> dict[str, object]:
    place = {"id": line.id, "offset": line.offset, "time": line.time, "model_key": line.event.model.key}
    fields: dict[str, object] = msgspec.to_builtins(line.event)
    return place | fields


_FORMATS: dict[AnswerFormat, Callable[[str], TextFormat[_Line]]] = {
    "alpaca-eval": lambda name: TextFormat(f"alpaca-eval-{name}.json", True, _alpaca_eval),
    "predictions": lambda name: TextFormat(f"predictions-{name}.jsonl", False, _prediction),
    "jsonl": lambda name: TextFormat("answers.jsonl", False, _whole),
}


def answer_formats(names: Sequence[str]) -> tuple[AnswerFormat, ...]:
    """These formats in their order; `alpaca-eval` for none. Raises ConfigurationError for another name."""
    unknown = [name for name in names if name not in ANSWER_FORMATS]
    if unknown:
        raise ConfigurationError(
            f"--format {unknown[0]!r} is not one of answers. Choose from {', '.join(ANSWER_FORMATS)}."
        )
    return tuple(name for name in ANSWER_FORMATS if name in names) or AnswerExportOptions.formats
