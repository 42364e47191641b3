"""The commands of each study, in order. Each continues where it was, so a study that is started again does too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumers.evaluation.study_tables import ALPACA_EVAL, HARMFUL, REFERENCE
from schemas.errors import ConfigurationError
from sedi.eval.studies.options import StudyOptions, StudySide

BASE = "base"
"""The name of the model that every side trains, before training."""

_TASKS = ("arc_easy", "arc_challenge", "hellaswag", "mmlu")
_ALPACA_EVAL = "alpaca_eval_part.json"  # its rows name the five sets of Fig. 7


@dataclass(frozen=True)
class StudyStep:
    """A command of a study, and what it is for."""

    title: str
    arguments: tuple[str, ...]


def plan(options: StudyOptions) -> tuple[StudyStep, ...]:
    """The study's commands. Raises ConfigurationError when its data or sides do not suffice."""
    match options.name:
        case "table1":
            return (*_trained(options), _benchmarks(options, _TASKS), *_against_reference(options), _report(options))
        case "table5":
            tasks = ("mmlu", "arc_easy", "arc_challenge")
            return (*_trained(options), _benchmarks(options, tasks), _report(options))
        case "fig7":
            return (*_trained(options), _compared(options), _report(options))
        case "table2":
            both = generators(options)
            trained = [step for side, model in both for step in _train_side(options, side, _generator(model))]
            sides = [side for side, _ in both]
            return (
                *trained,
                _benchmarks(options, _TASKS, sides),
                *_against_reference(options, sides),
                _report(options),
            )
        case "fig9":
            return (*_trained(options), *_harmful(options), _report(options))
        case "fig10":
            return tuple(step for side in options.sides for step in _generate_side(options, side))


def generators(options: StudyOptions) -> list[tuple[StudySide, str | None]]:
    """The sides of table2: each with the small generator, the built-in model, and with the large one."""
    return [
        (StudySide(f"{side.name}-{size}", side.file), model)
        for side in options.sides
        for size, model in (("small", None), ("large", options.large))
    ]


def trained_sides(options: StudyOptions) -> tuple[StudySide, ...]:
    """The sides that have a run: in table2 one with each generator."""
    return tuple(side for side, _ in generators(options)) if options.name == "table2" else options.sides


def model_of(options: StudyOptions, side: str) -> str:
    """The words that name a side's trained model."""
    return f"{side}=run:{options.run_of(side)}"


def _trained(options: StudyOptions) -> list[StudyStep]:
    return [step for side in options.sides for step in _train_side(options, side)]


def _generate_side(options: StudyOptions, side: StudySide, generator: Sequence[str] = ()) -> list[StudyStep]:
    run = options.run_of(side.name)
    arguments = ("run", str(side.file), "--run", run, "--max-kept", str(options.size.kept), *generator)
    return [StudyStep(f"{side.name}: generate, filter and train", arguments)]


def _train_side(options: StudyOptions, side: StudySide, generator: Sequence[str] = ()) -> list[StudyStep]:
    from sedi.run_file.plan import RunRequest, plan_run

    run = options.run_of(side.name)
    train = plan_run(RunRequest(file=str(side.file), flags={("--run", "run"): run})).options.train
    arguments = ("train", "--run", run, *train, "--until-end", "--last-batch")
    rest = StudyStep(f"{side.name}: train the remaining rows and write the model", arguments)
    return [*_generate_side(options, side, generator), rest]


def _generator(model: str | None) -> tuple[str, ...]:
    if model is None:
        return ()
    return "--set", "settings.backend=openai", "--set", f"settings.model={model}"


def _models(options: StudyOptions, sides: Sequence[StudySide] | None = None) -> list[str]:
    chosen = options.sides if sides is None else sides
    return [f"{BASE}=builtin", *(model_of(options, side.name) for side in chosen)]


def _benchmarks(options: StudyOptions, tasks: Sequence[str], sides: Sequence[StudySide] | None = None) -> StudyStep:
    size = options.size
    arguments = (
        *("eval", "benchmarks", *_models(options, sides)),
        *(word for task in tasks for word in ("--task", task)),
        *("--data", str(_folder(options, "eval_mc"))),
        *("--limit", str(size.questions), "--per-subject", str(size.per_subject), "--run", options.prefix),
    )
    return StudyStep("benchmarks", arguments)


def _against_reference(options: StudyOptions, sides: Sequence[StudySide] | None = None) -> list[StudyStep]:
    """AlpacaEval: each model against the reference answers."""
    file = str(_folder(options, "eval_open") / _ALPACA_EVAL)
    common = ("--set", f"{ALPACA_EVAL}={file}", *_answers(options), *options.judge, "--run", options.prefix)
    return [
        StudyStep(
            f"AlpacaEval: {model.partition('=')[0]} against the reference answers",
            ("eval", "compare", model, f"{REFERENCE}={file}", *common),
        )
        for model in _models(options, sides)
    ]


def _compared(options: StudyOptions) -> StudyStep:
    if len(options.sides) != 2:
        raise ConfigurationError(f"fig7 compares two sides, and there are {len(options.sides)}; give two --side.")
    file = str(_folder(options, "eval_open") / _ALPACA_EVAL)
    arguments = (
        *("eval", "compare", *(model_of(options, side.name) for side in reversed(options.sides))),
        *("--set", f"*={file}", *_answers(options), *options.judge, "--run", options.prefix),
    )
    return StudyStep("answers of both models to the five sets, and the judge's readings", arguments)


def _harmful(options: StudyOptions) -> list[StudyStep]:
    from importlib.resources import files

    requests = str(files("producers") / "evaluation" / "harmful_requests.jsonl")
    common = ("--set", f"{HARMFUL}={requests}", *_answers(options), *options.judge, "--run", options.prefix)
    models = _models(options)
    return [
        StudyStep("answers to harmful requests", ("eval", "refusals", *models, *common)),
        StudyStep("the same with a system prompt", ("eval", "refusals", *models, "--system", "llama-2", *common)),
    ]


def _answers(options: StudyOptions) -> tuple[str, ...]:
    return "--limit", str(options.size.prompts), "--call-max-tokens", str(options.size.tokens)


def _report(options: StudyOptions) -> StudyStep:
    page = str(options.output / "report.html")
    return StudyStep("the report", ("eval", "report", "--run", options.prefix, "--html", page))


def _folder(options: StudyOptions, name: str) -> Path:
    if options.data is None:
        raise ConfigurationError(
            f"The study {options.name} needs data: give --data FOLDER, which holds eval_mc (benchmark questions) and "
            "eval_open (prompts). docs/evaluation.md names the files."
        )
    folder = options.data / name
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}. docs/evaluation.md names the files that it holds.")
    return folder
