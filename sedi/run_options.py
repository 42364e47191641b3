"""What `sedi run` is asked to do: a preset file, and flags that win over it."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask, parse_seed_lines


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a preset file holds.

    policy             fields of the policy that differ from its mode's defaults; `mode` among them
    seeds              a name that `sedi seeds import` gave, or a file; none: the project's own seed tasks
    seed_count         only the first so many of them
    windows            end after so many more training windows were closed and answered
    show_replacement   and after the LLM was shown a seed that training had put in the pool
    time_limit_s       end in order after so long; that is a failure only when a part of the run stands still
    fit_s              measure this machine first, and choose trained layers and the built-in LLM's answers such that
                       `windows` take at most so many seconds; what `train` and `generate` say is heeded
    max_kept, max_candidates, max_calls, max_tokens, max_usd   budgets of the run, held by the generator
    generate, train    further arguments of `sedi generate` and `sedi train`
    trainer            whether to train at all
    """

    policy: dict[str, Any] = {}
    seeds: str | None = None
    seed_count: int | None = None
    windows: int | None = None
    show_replacement: bool = False
    time_limit_s: float | None = None
    fit_s: float | None = None
    max_kept: int | None = None
    max_candidates: int | None = None
    max_calls: int | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    generate: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    trainer: bool = True

    @property
    def has_end(self) -> bool:
        """Whether the run ends by itself."""
        return self.windows is not None or bool(self.limits())

    @property
    def says_nothing_of_the_run(self) -> bool:
        """Whether neither policy nor seeds are named, so that a run that is there can go on with its own."""
        return not self.policy and self.seeds is None and self.seed_count is None

    def limits(self) -> list[str]:
        """The budgets as arguments of `sedi generate`."""
        given = {
            "--max-kept": self.max_kept,
            "--max-candidates": self.max_candidates,
            "--max-calls": self.max_calls,
            "--max-tokens": self.max_tokens,
            "--max-usd": self.max_usd,
        }
        return [text for flag, value in given.items() if value is not None for text in (flag, str(value))]

    def ahead(self) -> list[str]:
        """Arguments of `sedi generate`: not to wait for a trainer that is not there, or that passes rows over."""
        if self.trainer and not _gives(self.train, "--min-score"):
            return []
        return [] if _gives(self.generate, "--max-ahead") else ["--max-ahead", "none"]


def planned_steps(options: RunOptions, policy: Policy) -> list[str]:
    """Arguments of `sedi train`: the steps that a new run will likely have, for its warm-up, where a budget says it."""
    rows = options.max_kept or options.max_candidates
    steps = options.windows * policy.window_steps if options.windows else rows and rows // policy.batch_size
    if not steps or any(_gives(options.train, flag) for flag in ("--planned-steps", "--max-steps")):
        return []
    return ["--planned-steps", str(steps)]


def _gives(words: Sequence[str], flag: str) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in words)


def read_options(preset: str | None, flags: Mapping[str, Any], policy: Sequence[str]) -> RunOptions:
    """The options of a preset (a name or a file), with flags that are not None, and `KEY=VALUE` policy fields.

    Raises ConfigurationError naming the file and the field.
    """
    data: dict[str, Any] = {} if preset is None else _read(preset)
    data.update({name: value for name, value in flags.items() if value is not None})
    data["policy"] = dict(data.get("policy", {})) | policy_fields(policy)
    try:
        return msgspec.convert(data, RunOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The preset {preset!r} is wrong: {error}.") from error


def policy_fields(pairs: Sequence[str]) -> dict[str, Any]:
    """The policy fields that `--set KEY=VALUE` names. Raises ConfigurationError for something else."""
    fields = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f"--set takes KEY=VALUE, such as --set threshold=0.7; {pair!r} is not that.")
        fields[name] = _value(name, value)
    return fields


def policy_of(options: RunOptions) -> Policy:
    """The policy that the options describe. Raises ConfigurationError for a wrong field."""
    fields = dict(options.policy)
    return policy_for(str(fields.pop("mode", "sedi")), **fields)


def seeds_of(options: RunOptions, settings: Settings) -> tuple[SeedTask, ...]:
    """The seeds that the options name. Raises ConfigurationError when they cannot be read or are too few."""
    if options.seeds is None:
        text = (files("producers") / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8")
        seeds = parse_seed_lines(text.split("\n"), "the project's seed tasks")
    else:
        from sedi.seed_files import find

        seeds = find(settings, options.seeds)
    if options.seed_count is not None and not 1 <= options.seed_count <= len(seeds):
        raise ConfigurationError(f"seed_count is {options.seed_count}, and there are {len(seeds)} seeds.")
    return seeds[: options.seed_count]


def _read(preset: str) -> dict[str, Any]:
    shipped = files("sedi") / "presets"
    names = sorted(file.name.removesuffix(".toml") for file in shipped.iterdir() if file.name.endswith(".toml"))
    if preset not in names and not Path(preset).is_file():
        raise ConfigurationError(f"There is no preset {preset!r}: no such file, and ours are {', '.join(names)}.")
    try:
        source = shipped / f"{preset}.toml" if preset in names else Path(preset)
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The preset {preset!r} is not TOML: {error}.") from error


def _value(name: str, text: str) -> Any:
    """Lists are given with commas; numbers and booleans are converted by the policy itself."""
    return [part for part in text.split(",") if part] if name == "rules" else text
