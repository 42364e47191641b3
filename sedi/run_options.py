"""What `sedi run` is asked to do, and what follows from it for the parts of the run."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec

from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.policy import Answered, Policy, policy_for, policy_with
from schemas.seeds import SeedTask, parse_seed_lines
from sedi.options import words_of

_SHARED = (
    *("style", "safety", "temperature", "top_p", "answer_max_tokens", "model", "backend", "load_model_seed"),
    *("in_flight", "rpm", "tpm", "forever"),
    *("batch_api", "batch_size", "batch_linger", "batch_poll", "batch_settle", "batch_give_up"),
)
"""Parameters of the generator from seeds that its answerer has too."""

FROM_DOCUMENTS = "documents"
"""The name of the generator from documents among the parts of a run."""

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run file, presets and flags come to.

    run                Name of the run. The flag and SEDI_RUN win over it.
    producer           What instructions are made from: `sedi` from seeds, `goliath` from documents, `both` beside each
                       other in one run.
    corpus             Files and folders that become documents of the run before any is used, as by `sedi corpus add`.
                       Those that are there already stay as they are.
    seeds              A seed file, or a name that `sedi seeds import` gave. Not set: the project's own 184 seed tasks.
    seed_count         Only the first so many seeds.
    trainer            Whether `sedi run` starts a trainer.
    judging            Whether `sedi run` starts a judge, which costs LLM calls, and lets it end its work at the end.
    windows            End after so many more training windows were closed and answered.
    show_replacement   With `windows`: end only when the LLM was also shown a seed that training had put in the pool.
    time_limit_s       End in order after so many seconds; a failure only when a part of the run does not move.
    fit_s              With `windows`: measure this machine first, and choose trained layers and the length of the
                       built-in LLM's answers so that the run takes at most so many seconds. [train] and [generate] win.
    max_kept           Budget: end when so many rows are kept.
    max_candidates     Budget: generate no more than so many rows, kept or not.
    max_calls          Budget: end after so many LLM calls.
    max_tokens         Budget: end before answers take more tokens, prompts included.
    max_usd            Budget: end when so many US dollars were spent; needs a known price ([settings]).
    policy             fields of the policy that differ from its mode's defaults; `mode` among them
    generate, documents, train, judge, answerer   further arguments of `sedi generate` for the producer from seeds and
                       for that from documents, of `sedi train`, of `sedi judge` and of `sedi answer`
    """

    run: str = "demo"
    producer: Literal["sedi", "goliath", "both"] = "sedi"
    corpus: tuple[str, ...] = ()
    seeds: str | None = None
    seed_count: Count | None = None
    trainer: bool = True
    judging: bool = False
    windows: Count | None = None
    show_replacement: bool = False
    time_limit_s: Seconds | None = None
    fit_s: Seconds | None = None
    max_kept: Count | None = None
    max_candidates: Count | None = None
    max_calls: Count | None = None
    max_tokens: Count | None = None
    max_usd: Annotated[float, msgspec.Meta(ge=0)] | None = None
    policy: dict[str, Any] = {}
    generate: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    judge: tuple[str, ...] = ()
    answerer: tuple[str, ...] = ()

    @property
    def has_end(self) -> bool:
        """Whether the run ends by itself."""
        documents_end = self.producer == "goliath" and "--follow" not in self.documents
        return self.windows is not None or documents_end or bool(self.limits())

    @property
    def from_seeds(self) -> bool:
        """Whether instructions are made from seeds."""
        return self.producer != "goliath"

    @property
    def from_documents(self) -> bool:
        """Whether instructions are made from documents."""
        return self.producer != "sedi"

    @property
    def says_nothing_of_the_run(self) -> bool:
        """Whether neither policy nor seeds are named, so that a run that is there can go on with its own."""
        return not self.policy and self.seeds is None and self.seed_count is None

    def limits(self) -> list[str]:
        """The budgets as arguments of `sedi generate`."""
        return words_of({"--max-kept": self.max_kept, "--max-candidates": self.max_candidates, **self._of_calls()})

    def generators(self) -> dict[str, list[str]]:
        """Arguments of `sedi generate` for each generator, by its name among the run's parts.

        They are the budgets, how far ahead of training it may be, and its own.
        """
        made = {}
        if self.from_seeds:
            made["generator"] = [*self.limits(), *self.ahead(), *self.generate]
        if self.from_documents:
            made[FROM_DOCUMENTS] = ["--producer", "goliath", *self.limits(), *self.documents]
        return made

    def corpus_arguments(self) -> list[str]:
        """Arguments of `sedi corpus`; none where the run adds no documents."""
        return ["add", *self.corpus] if self.corpus and self.from_documents else []

    def asking(self) -> tuple[str, ...]:
        """The arguments that say which LLM is asked: those of the first producer, if it takes part."""
        return self.generate if self.from_seeds else self.documents

    def judge_arguments(self) -> list[str]:
        """Arguments of `sedi judge`: its own, and the run's budgets where it has none of its own."""
        return [*self._spending(self.judge), *self.judge]

    def answer_arguments(self) -> list[str]:
        """Arguments of `sedi answer`: its own, and the run's budgets and those of the generator from seeds where it has
        none of its own: the LLM that lists instructions answers them too, in the same style."""
        from sedi.run_file.fields import fields
        from sedi.run_file.values import arguments_of, parsed
        from streams.core.steps import asks_apart

        _, given = parsed("generate", self.generate)
        shared = [
            word
            for name, value in given.items()
            if name in _SHARED and not (name == "style" and not asks_apart(value))
            if not _gives(self.answerer, fields()["answerer", name].flags[0])
            for word in arguments_of(fields()["answerer", name], value)
        ]
        return [*self._spending(self.answerer), *shared, *self.answerer]

    def _spending(self, own: Sequence[str]) -> list[str]:
        """The run's budgets for calls, as arguments, without those that a part has of its own."""
        return words_of({flag: value for flag, value in self._of_calls().items() if not _gives(own, flag)})

    def _of_calls(self) -> dict[str, float | None]:
        return {"--max-calls": self.max_calls, "--max-tokens": self.max_tokens, "--max-usd": self.max_usd}

    def ahead(self) -> list[str]:
        """Arguments of the generator from seeds: not to wait for a trainer that is not there, or passes rows over."""
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


def policy_as_new(options: RunOptions, settings: Settings) -> Policy:
    """The policy that a new run would get. Raises ConfigurationError for a wrong field."""
    policy = policy_of(options)
    return policy if "answer" in options.policy else policy_with(policy, answer=answered_by_default(options, settings))


def answered_by_default(options: RunOptions, settings: Settings) -> Answered:
    """Which instructions a new run answers, where its policy does not say: kept ones alone, where it can be so.

    The style must ask for instructions and answers apart. A generator of recorded answers has those of all.
    """
    from sedi.generate import style_in_use
    from sedi.run_file.values import parsed
    from streams.core.steps import asks_apart

    all_of, _ = parsed("generate", options.generate)
    if not options.from_seeds or all_of["recorded"] is not None:
        return "all"
    used = settings if all_of["backend"] is None else settings.model_copy(update={"backend": all_of["backend"]})
    return "kept" if asks_apart(style_in_use(used, all_of).style) else "all"


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


def _value(name: str, text: str) -> Any:
    """Lists are given with commas, and no value as `none`; the policy itself converts numbers and booleans."""
    if name in ("rules", "strategies", "adapt"):
        return [part for part in text.split(",") if part]
    return None if text.lower() == "none" else text
