"""Making a run: its topics, its policy and seeds, and the classifier that it starts with.

`sedi run` and `sedi configure` both do this, in the same way.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from infra.distribution import VERSION, require
from infra.log.run import configure_run, read_run
from infra.settings import Settings
from schemas.errors import RunError
from schemas.events import RunConfigured
from schemas.policy import Answered, Policy, policy_with
from sedi.run_options import RunOptions, answered_by_default, policy_of, seeds_of

_PACKAGES = ("faust-streaming", "kafka-python", "openai", "rapidfuzz", "scikit-learn", "torch", "transformers")
_MANY = 0.1  # of the letters


@dataclass(frozen=True)
class Configured:
    """How a run is configured; `is_new` when this program did it."""

    policy: Policy
    seeds: int
    is_new: bool


def prepare(settings: Settings, run: str, options: RunOptions, say: Callable[[str], None]) -> Policy:
    """Have the broker run and the run configured; its policy.

    Raises SediError when either cannot be, or a part of the distribution that the run needs is not installed.
    """
    from infra.local_broker import broker
    from sedi.trial import uses_builtin

    require("run", "sedi run")
    if options.trainer:
        require("train", "A run with a trainer (--no-trainer: without)")
    if uses_builtin(options, settings):
        require("local", "The built-in LLM")
    if settings.is_local:
        broker.start(settings, progress=say)
    return configure(settings, run, options, say, answer=answered_by_default(options, settings)).policy


def configure(
    settings: Settings, run: str, options: RunOptions, say: Callable[[str], None], *, answer: Answered = "all"
) -> Configured:
    """Make the run unless it is there. Raises ConfigurationError when it is, with another policy or other seeds.

    A run that is there goes on with its own policy and seeds, unless the options name some; these must be the same.
    `answer`: the policy's, for a new run whose options do not say.
    """
    from infra.models.embeddings import embedder_for
    from streams.core.decider import first_classifier
    from streams.core.scripts import share_of_other_letters

    there = _there(settings, run)
    if there is not None and options.says_nothing_of_the_run:
        policy, seeds = there.policy, there.seeds
    else:
        policy, seeds = policy_of(options), seeds_of(options, settings)
        if "answer" not in options.policy:
            policy = policy_with(policy, answer=answer if there is None else there.policy.answer)
    classifier = first_classifier(policy, seeds, embedder_for(policy))
    is_new = configure_run(settings, run, policy, seeds, versions(), classifier=classifier)
    if is_new:
        say(
            f"Run {run} is new: mode {policy.mode}, threshold {policy.threshold}, {policy.clusters} clusters, "
            f"batch {policy.batch_size}, "
            f"{len(seeds)} seeds"
        )
        if policy.tokenizer == "rouge" and share_of_other_letters(seed.instruction for seed in seeds) > _MANY:
            say(
                "Many letters of the seeds are not ASCII, and this run's rules and similarity know no others: make "
                "another run with tokenizer=unicode (docs/decisions/other-scripts.md)"
            )
    else:
        say(f"Run {run} goes on where it was")
    return Configured(policy, len(seeds), is_new)


def versions() -> dict[str, str]:
    """The versions of what decides how a run goes, as they are recorded on its log."""
    found = {"sedi": VERSION}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):  # its part is not installed here
            found[name] = version(name)
    return found


def _there(settings: Settings, run: str) -> RunConfigured | None:
    try:
        return read_run(settings, run)[0]
    except RunError:
        return None
