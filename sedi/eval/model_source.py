"""The models that `sedi eval` is about, from the words on the command line.

    ./model, /path/to/model     a folder that transformers loads
    owner/name                  a model on the hub
    builtin                     SmolLM2-135M-Instruct
    run:NAME, run:NAME@STEP     the model that was trained on a run, or its checkpoint at a step
    endpoint:MODEL              a model at the endpoint of the settings (SEDI_BASE_URL)
    answers.jsonl               a file of answers, also .json, .csv, .parquet, .gz

A name for reports may come before: `mine=run:demo@300`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from infra.models.templates import Template
    from infra.settings import Settings
    from schemas.evaluation import EvaluatedModel

FORMS = "a folder, a hub name (owner/name), `builtin`, run:NAME[@STEP], endpoint:MODEL, or a file of answers"

_NAMED = re.compile(r"([^=/\\]+)=(.+)", re.DOTALL)
_ANSWERS = re.compile(r"(.*)\.(?:jsonl|ndjson|json|csv|tsv|parquet)(?:\.gz)?", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class ModelSource:
    """A model, and where it is.

    folder     of its weights; None at an endpoint and for a file of answers
    template   that it was trained with; None: its tokenizer's chat template if it has one
    answers    a file of answers
    """

    model: EvaluatedModel
    folder: Path | None = None
    template: Template | None = None
    answers: Path | None = None


def model_source(text: str, settings: Settings, say: Callable[[str], None], **checkpoint: Any) -> ModelSource:
    """The model that a text names; the forms are those above. `checkpoint`: options for reading one (`trust`).

    Raises ConfigurationError for a text that names no model, TrainerError when there is no such model or checkpoint.
    """
    name, rest = name_and_place(text)
    if name:
        return _renamed(model_source(rest, settings, say, **checkpoint), name)
    path = Path(text).expanduser()
    if text.startswith("endpoint:"):
        return _of_endpoint(text.removeprefix("endpoint:"))
    if text.startswith("run:"):
        return _of_run(text.removeprefix("run:"), settings, say, **checkpoint)
    if path.is_dir():
        return _of_folder(path, path.resolve().name, say)
    if answers := _ANSWERS.fullmatch(path.name):
        return _of_file(path, answers[1])
    return _of_name(text, settings, say)


def name_and_place(word: str) -> tuple[str, str]:
    """The parts of NAME=PLACE; the name is empty without one, and where the whole is a path that there is."""
    named = _NAMED.fullmatch(word)
    if named is None or Path(word).expanduser().exists():
        return "", word
    return named[1], named[2]


def _of_endpoint(name: str) -> ModelSource:
    from schemas.evaluation import EvaluatedModel

    if not name.strip():
        raise ConfigurationError("endpoint: names no model. Write endpoint:MODEL, with a model that the endpoint has.")
    return ModelSource(EvaluatedModel(name=name, kind="endpoint", source=name))


def _of_file(path: Path, name: str) -> ModelSource:
    from infra.digest import sha256_of
    from schemas.evaluation import EvaluatedModel

    if not path.is_file():
        raise ConfigurationError(f"There is no file of answers {path}. Give {FORMS}.")
    model = EvaluatedModel(name=name or path.name, kind="file", source=path.name, sha256=sha256_of(path))
    return ModelSource(model, answers=path)


def _of_folder(folder: Path, name: str, say: Callable[[str], None]) -> ModelSource:
    from infra.models.identity import identify
    from infra.models.model_info import read_model_info, warning_of_task

    if (warning := warning_of_task(folder)) is not None:
        say(warning)
    info = read_model_info(folder)
    return ModelSource(identify(folder, name), folder, None if info is None else info.template)


def _of_run(text: str, settings: Settings, say: Callable[[str], None], **checkpoint: Any) -> ModelSource:
    run, at, step = text.partition("@")
    if at and not step.isdecimal():
        raise ConfigurationError(f"run:{text} names no step: write run:{run}@300, or run:{run} for its last model.")
    from consumers.trainer.result.chat import model_of_run

    if not step:
        source = _of_folder(model_of_run(settings.state_dir, run), run, say)
        steps = None if source.model.trained is None else source.model.trained.step
        return _renamed(source, run if steps is None else f"{run}@{steps}")
    from consumers.trainer.result.checkpoint_model import model_of_checkpoint

    folder = model_of_checkpoint(settings.state_dir / run, int(step), settings.cache_dir, say, **checkpoint)
    return _renamed(_of_folder(folder, run, say), f"{run}@{step}")


def _of_name(name: str, settings: Settings, say: Callable[[str], None]) -> ModelSource:
    """The built-in model, or one on the hub."""
    from infra.models.identity import identify

    if name == "builtin":
        from producers.backends.builtin.model import MODEL_NAME, safetensors_folder

        folder = safetensors_folder(settings.cache_dir, say)
        return ModelSource(identify(folder, MODEL_NAME, kind="hub", source=MODEL_NAME), folder)
    from producers.backends.model_folder import hub_folder, is_hub_name

    if not is_hub_name(name):
        raise ConfigurationError(f"{name!r} names no model. Give {FORMS}.")
    folder = hub_folder(name)
    return ModelSource(identify(folder, name, kind="hub", source=name), folder)


def _renamed(source: ModelSource, name: str) -> ModelSource:
    from msgspec.structs import replace as with_fields

    return replace(source, model=with_fields(source.model, name=name))
