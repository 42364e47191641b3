"""What a study is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from schemas.errors import ConfigurationError
from schemas.topics import check_run_name

StudyName = Literal["table1", "table5", "fig7", "table2", "fig9", "fig10"]
STUDIES: tuple[StudyName, ...] = get_args(StudyName)

TITLES: dict[str, str] = {
    "table1": "AlpacaEval, MMLU, HellaSwag and ARC of models trained on each side's data",
    "table5": "MMLU by group of subjects and ARC by difficulty",
    "fig7": "answers of two models compared by a judge, on five sets of prompts",
    "table2": "the same benchmarks with a small and a large generator: model collapse",
    "fig9": "answers to harmful requests, with and without a system prompt",
    "fig10": "seed tasks with the lowest and the highest scores",
    "yield": "calls for a kept instruction under the filters of both, as measured and extrapolated",
}


@dataclass(frozen=True)
class StudySize:
    """How much a study does.

    kept         rows that each side's run keeps and trains
    questions    of each benchmark without subjects
    per_subject  questions of each of MMLU's subjects
    prompts      of each set
    tokens       of an answer, at most
    """

    kept: int
    questions: int
    per_subject: int
    prompts: int
    tokens: int


SIZES = {"demo": StudySize(48, 30, 1, 8, 96), "paper": StudySize(30_164, 10_000, 1_000, 1_000, 1024)}
_TWICE_THE_RUNS = {"demo": {"kept": 16, "prompts": 4}}
"""What is less in table2, which trains each side twice."""


@dataclass(frozen=True)
class StudySide:
    """A run of the study: its name, and the run file that it follows."""

    name: str
    file: Path


@dataclass(frozen=True)
class StudyOptions:
    """A study.

    sides     the runs compared, the baseline first
    data      a folder with `eval_mc` (benchmarks) and `eval_open` (prompts); None where a study needs none
    output    where tables and pages go
    prefix    of the names of its runs; its own log is named by it alone
    large     the large generator of table2, a model at the endpoint; None: the built-in model is both
    judge     arguments of `sedi eval compare` that name the judge
    """

    name: StudyName
    size: StudySize
    sides: tuple[StudySide, ...]
    data: Path | None
    output: Path
    prefix: str
    large: str | None = None
    judge: tuple[str, ...] = ()

    def run_of(self, side: str) -> str:
        """The name of a side's run."""
        return check_run_name(f"{self.prefix}-{side}")


def study_size(name: StudyName, size: str) -> StudySize:
    """How much a study does at a size. Raises ConfigurationError."""
    if size not in SIZES:
        raise ConfigurationError(f"There is no size {size!r}. Take one of {', '.join(SIZES)}.")
    return replace(SIZES[size], **(_TWICE_THE_RUNS.get(size, {}) if name == "table2" else {}))


def default_sides() -> tuple[StudySide, ...]:
    """The baseline and SEDI-Instruct."""
    return tuple(StudySide(name, _preset(name)) for name in ("self-instruct", "sedi"))


def side(text: str) -> StudySide:
    """The side that NAME=FILE names. Raises ConfigurationError."""
    name, equals, file = text.partition("=")
    if not equals:
        raise ConfigurationError(f"--side takes NAME=FILE, a run file (`sedi init FILE` writes one); {text!r} is not.")
    check_run_name(name)
    path = _preset(file) if file in ("sedi", "self-instruct") else Path(file)
    if not path.is_file():
        raise ConfigurationError(f"There is no run file {file}. `sedi init {file}` writes one.")
    return StudySide(name, path)


def study_name(text: str) -> StudyName:
    """The study of that name. Raises ConfigurationError."""
    found = next((name for name in STUDIES if name == text), None)
    if found is None:
        listed = "\n".join(f"  {name:8} {title}" for name, title in TITLES.items())
        raise ConfigurationError(f"There is no study {text!r}. There are:\n{listed}")
    return found


def _preset(name: str) -> Path:
    return Path(str(files("sedi") / "presets" / "studies" / f"{name}.toml"))
