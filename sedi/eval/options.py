"""Options that commands of `sedi eval` share, and what their words mean: models, sets of prompts, conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from sedi.eval.model_source import ModelSource, model_source, name_and_place
from sedi.options import DEFAULT_RUN, Run

if TYPE_CHECKING:
    from infra.settings import Settings
    from producers.evaluation.prompt_sets import PromptSet

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="A folder, a hub name, `builtin`, run:NAME@STEP, endpoint:MODEL or a file of answers; NAME=MODEL names "
        "it. Default: the run's own model.",
    ),
]
Step = Annotated[int | None, typer.Option("--step", min=1, help="Without MODEL: the run's checkpoint there.")]
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="[NAME=]FILE",
        help="A file of prompts; `*=FILE`: one set for each `dataset` of its rows. Repeatable.",
    ),
]
TrustCheckpoint = Annotated[
    bool, typer.Option("--trust-checkpoint", help="Load a checkpoint of another installation: it may run code.")
]


@dataclass(frozen=True, kw_only=True)
class AskedOptions:
    """What models are asked, and on which run's log the answers are: a group (`sedi.commands`)."""

    system: Annotated[str, typer.Option("--system", help="System prompt; `llama-2`: a safety prompt in its style.")] = (
        ""
    )
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first prompts of each set.")] = None
    run: Run = DEFAULT_RUN


@dataclass(frozen=True, kw_only=True)
class AnswerSampling:
    """How answers are sampled."""

    call_max_tokens: Annotated[
        int | None, typer.Option("--call-max-tokens", min=1, help="Of one answer; the default is 512.")
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0, help="Of the answers. Default: 0, the likeliest word each time."),
    ] = None


_SHOWN = 5  # rows that are named


def model_sources(
    models: Sequence[str] | None,
    *,
    run: str,
    step: int | None,
    settings: Settings,
    say: Callable[[str], None],
    trust: bool = False,
) -> list[ModelSource]:
    """The models that the words name, each once; without any, the run's own.

    Raises ConfigurationError for words that name none, or one model twice; TrainerError for a model that is not there.
    """
    if models and step is not None:
        raise ConfigurationError("--step is for the run's own model: write run:NAME@STEP, or leave the MODEL out.")
    own = f"run:{run}" if step is None else f"run:{run}@{step}"
    found = [model_source(each, settings, say, trust=trust) for each in models or (own,)]
    keys = [source.model.key for source in found]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ConfigurationError(f"The model {twice[0]} is given twice. Give each once, or name one: NAME=MODEL.")
    return found


def prompt_sets(words: Sequence[str], say: Callable[[str], None]) -> list[PromptSet]:
    """The sets that the words name. `say` reports rows without a prompt, which are left out.

    Raises ConfigurationError for a file that cannot be read or holds no prompt, and for two sets of one name.
    """
    from producers.evaluation.prompt_sets import read_prompt_file

    sets: dict[str, PromptSet] = {}
    for word in words:
        name, place = name_and_place(word)
        found = read_prompt_file(Path(place).expanduser(), name)
        if found.skipped:
            more = ", …" if len(found.skipped) > _SHOWN else ""
            rows = ", ".join(found.skipped[:_SHOWN])
            say(f"{place}: {len(found.skipped)} rows hold no prompt and are left out: {rows}{more}.")
        for each in found.sets:
            if each.name in sets:
                raise ConfigurationError(f"Two sets are named {each.name!r}. Name one of them: --set NAME=FILE.")
            sets[each.name] = each
    return list(sets.values())
