"""What is wrong with values that are right one by one: combinations that cannot be, files that are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from schemas.errors import ConfigurationError
from sedi.run_file.given import Given, Mistake
from sedi.run_file.mistake_list import MistakeList
from sedi.run_file.values import parsed
from sedi.run_options import RunOptions, answered_by_default, planned_steps, policy_of, seeds_of
from sedi.train import TRAIN_NAMES

if TYPE_CHECKING:
    from infra.settings import Settings
    from schemas.policy import Answered, Policy


def combinations(
    options: RunOptions,
    settings: Settings,
    given: Mapping[tuple[str, str], Given],
    sections: Mapping[str, Given],
    *,
    here: bool,
) -> list[Mistake]:
    """Every mistake that is in no single value. `here`: whether the parts start on this machine."""
    checks = MistakeList(given, sections, here=here)
    policy = _policy(options, checks)
    checks.attempt("", lambda: seeds_of(options, settings))
    _ends(options, policy, checks)
    _producers(options, checks)
    _steering(options, policy, checks)
    if options.from_seeds or options.generate:
        _generate(options, settings, policy, checks)
    if options.from_documents or options.documents:
        _documents(options, settings, policy, checks)
    if options.trainer:
        _train(options, policy, checks)
    answers = _answers(options, settings, policy, checks)
    if options.answerer or answers == "kept":
        _answerer(options, settings, answers, checks)
    if options.judging or options.judge:
        _judge(options, settings, checks)
    return checks.mistakes


def _policy(options: RunOptions, checks: MistakeList) -> Policy | None:
    """The policy; None when it is wrong. A wrong field does not hide the next one."""
    fields = dict(options.policy)
    policy = None
    while policy is None:
        try:
            policy = policy_of(replace(options, policy=fields))
        except ConfigurationError as error:
            named = checks.named_in("policy", str(error))
            checks.add("policy", named, str(error))
            if not named:
                return None
            fields = {name: value for name, value in fields.items() if name not in named}
    return policy if len(fields) == len(options.policy) else None


def _ends(options: RunOptions, policy: Policy | None, checks: MistakeList) -> None:
    from schemas.topics import check_run_name

    checks.attempt("", lambda: _named("run", check_run_name, options.run))
    for name in ("show_replacement", "fit_s"):
        if getattr(options, name) and options.windows is None:
            checks.add("", [name], f"{name} is about a run that ends by windows. Set windows too, or take it out.")
    if options.show_replacement and policy is not None and not policy.feedback:
        checks.add(
            "",
            ["show_replacement"],
            "show_replacement waits for a seed that training replaced, and the policy has no feedback. Take it out, or "
            "set policy.feedback = true.",
        )


def _producers(options: RunOptions, checks: MistakeList) -> None:
    """What is for a producer that takes no part, and documents that are not there."""
    if options.corpus and not options.from_documents:
        checks.add("", ["corpus"], 'corpus is for the producer from documents. Set producer = "goliath" or "both".')
    if options.fit_s is not None and options.from_documents:
        checks.add(
            "", ["fit_s"], 'fit_s measures the producer from seeds alone. Take it out, or set producer = "sedi".'
        )
    for path in options.corpus if checks.here and options.from_documents else ():
        if not Path(path).exists():
            text = f"corpus names {path}, and there is no such file or folder here. Paths begin at this folder."
            checks.add("", ["corpus"], text)


def _steering(options: RunOptions, policy: Policy | None, checks: MistakeList) -> None:
    """What requests from seeds follow, in a run without any."""
    given = {"seed_choice": "uniform", "adapt": (), "hints": 0}
    names = [] if policy is None else [name for name, off in given.items() if getattr(policy, name) != off]
    if names and not options.from_seeds:
        text = (
            f"{' and '.join(names)} in [policy] is about requests from seeds, and this run makes none. Take it out, or "
            'set producer = "sedi" or "both".'
        )
        checks.add("policy", names, text)


def _generate(options: RunOptions, settings: Settings, policy: Policy | None, checks: MistakeList) -> None:
    from producers.generate.style_factory import StyleInUse, check_steering, style_of
    from sedi.generate import style_in_use

    all_of, _ = parsed("generate", options.generate)
    used = overridden(settings, all_of)
    styles: list[StyleInUse] = []

    def check() -> None:
        styles.append(style_in_use(used, all_of))
        style_of(styles[0], used)

    checks.attempt("generate", check)
    if policy is not None and styles:
        checks.attempt("policy", lambda: check_steering(policy, styles[0].style), ["adapt"])
    _lane("generate", all_of, options, used, policy, checks)


def _documents(options: RunOptions, settings: Settings, policy: Policy | None, checks: MistakeList) -> None:
    from sedi.document_options import LANES, documents_in_use

    all_of, _ = parsed("documents", options.documents)
    used = overridden(settings, all_of)

    def check() -> None:
        in_use = documents_in_use(all_of)
        if policy is not None:
            in_use.check(policy)

    checks.attempt("documents", check)
    _lane("documents", all_of, options, used, policy, checks)
    lanes = [all_of["lane"] or LANES["goliath"], parsed("generate", options.generate)[0]["lane"] or LANES["sedi"]]
    if options.producer == "both" and lanes[0] == lanes[1]:
        text = f"lane is {lanes[0]} of both producers, and each needs its own. Give another one here or in [generate]."
        checks.add("documents", ["lane"], text)


def _lane(
    section: str,
    all_of: Mapping[str, Any],
    options: RunOptions,
    used: Settings,
    policy: Policy | None,
    checks: MistakeList,
) -> None:
    """What all generators have in common."""
    from producers.calls.limits import Limits
    from producers.generate.stall_guard import StallGuard
    from sedi.generate import faults_of

    _backend(section, used, all_of, checks)
    guard = ("min_yield", "max_tokens_per_kept", "yield_window")
    _pace(section, used, all_of, checks)
    if all_of["inject"]:
        checks.attempt(section, lambda: faults_of(all_of["inject"]), ["inject"])
    checks.attempt(section, lambda: StallGuard(*(all_of[name] for name in guard)), guard)
    if options.max_usd is not None:
        _priced("", options.max_usd, used, checks)
    ahead = all_of["max_ahead"]
    if policy is not None and ahead not in (None, "none"):
        checks.attempt(section, lambda: Limits(max_ahead=int(ahead)).check(policy, priced=True))


def _pace(section: str, used: Settings, all_of: Mapping[str, Any], checks: MistakeList) -> None:
    """Calls in flight, as a lane begins with them, and the rates; or batches, which have neither."""
    from producers.calls.batching import check_batches
    from producers.calls.found_concurrency import rate_control_for
    from producers.calls.rate_control import RateOptions
    from producers.calls.token_bucket import TokenBucket

    if all_of["batch_api"]:
        given = RateOptions(rpm=all_of["rpm"], tpm=all_of["tpm"])
        checks.attempt(section, partial(check_batches, used, given, all_of["in_flight"]), ["batch_api"])
        if section == "documents":
            text = "Generations about documents are not asked in batches. Take batch_api out of [documents]."
            checks.add(section, ["batch_api"], text)
        return
    if section not in ("answerer", "judge"):
        names = ("in_flight_start", "in_flight_least", "in_flight_step")
        rate = RateOptions(**{name.removeprefix("in_flight_"): all_of[name] for name in names})
        begun = partial(rate_control_for, used, rate, all_of["in_flight"], lambda _: None)
        checks.attempt(section, begun, ["in_flight", *names])
    for name in ("rpm", "tpm"):
        if all_of[name] is not None:
            checks.attempt(section, partial(TokenBucket, all_of[name]), [name])


def _train(options: RunOptions, policy: Policy | None, checks: MistakeList) -> None:
    from dataclasses import fields

    from consumers.trainer.options import TrainOptions
    from schemas.errors import TrainerError
    from streams.core.batches import clusters_of_rank

    planned = planned_steps(options, policy) if policy is not None else []
    all_of, _ = parsed("train", [*planned, *options.train])
    known = {each.name for each in fields(TrainOptions)}
    named = {TRAIN_NAMES.get(name, name): value for name, value in all_of.items()}
    named["borrow_after_s"] = None if named["borrow_after_s"] in (None, "none") else float(named["borrow_after_s"])
    named["epochs"] = named["epochs"] or 1
    checks.attempt("train", lambda: TrainOptions(**{name: value for name, value in named.items() if name in known}))
    _there("train", "eval", all_of["eval_file"], checks)
    if policy is not None:
        try:
            clusters_of_rank(0, all_of["processes"], policy.clusters)
        except TrainerError as error:
            checks.add("train", ["processes"], str(error))


def _judge(options: RunOptions, settings: Settings, checks: MistakeList) -> None:
    from producers.judge.judge import JudgeOptions
    from producers.judge.scoring import RowSample

    all_of, _ = parsed("judge", options.judge)
    checks.attempt(
        "judge", lambda: JudgeOptions("run", sample=RowSample(all_of["sample"], all_of["limit"])), ["sample", "limit"]
    )
    used = overridden(settings, all_of)
    _backend("judge", used, all_of, checks)
    _pace("judge", used, all_of, checks)
    if all_of["max_usd"] is not None:
        _priced("judge", all_of["max_usd"], used, checks)


def _answers(options: RunOptions, settings: Settings, policy: Policy | None, checks: MistakeList) -> Answered:
    """Which instructions a new run answers, as far as that can be said."""
    if policy is not None and ("answer" in options.policy or not checks.here):
        return policy.answer
    try:
        return answered_by_default(options, settings)
    except ConfigurationError:  # it is among the mistakes
        return "all"


def _answerer(options: RunOptions, settings: Settings, answers: Answered, checks: MistakeList) -> None:
    from producers.answer.answerer import AnswererOptions
    from producers.generate.style_factory import answer_style
    from sedi.answer import answer_style_in_use, share_of

    all_of, _ = parsed("answerer", options.answer_arguments())
    used = overridden(settings, all_of)
    checks.attempt("answerer", lambda: answer_style(answer_style_in_use(used, all_of), used), ["style"])
    checks.attempt("answerer", lambda: AnswererOptions("run", share=share_of(all_of["share"])), ["share"])
    if answers == "all":
        text = (
            "[answerer] is for a run that answers kept instructions alone, and this one does not. Set policy.answer = "
            '"kept", with a style that asks for answers apart, or take the section out.'
        )
        checks.add("answerer", [], text)
    if parsed("generate", options.generate)[0]["recorded"] is not None and all_of["recorded"] is None:
        text = 'The generator\'s answers are recorded. Set recorded in [answerer] too, or policy.answer = "all".'
        checks.add("answerer", ["recorded"], text)
    _backend("answerer", used, all_of, checks)
    own, _ = parsed("answerer", options.answerer)  # what it has from other sections is checked there
    _pace("answerer", used, own, checks)
    if own["max_usd"] is not None:
        _priced("answerer", own["max_usd"], used, checks)


def _backend(section: str, used: Settings, all_of: Mapping[str, Any], checks: MistakeList) -> None:
    recorded = all_of["recorded"]
    _there(section, "recorded", recorded, checks)
    if used.backend == "recorded" and recorded is None:
        text = f"The backend `recorded` takes its answers from a file. Set recorded in [{section}], or another backend."
        checks.add_at_backend(section, text)
    if used.backend == "openai" and not used.model and checks.here:
        text = "The backend `openai` needs the name of a model. Set model in [settings], or SEDI_MODEL."
        checks.add_at_backend(section, text)


def overridden(settings: Settings, all_of: Mapping[str, Any]) -> Settings:
    """The settings of a part with these flags."""
    backend = "recorded" if all_of["recorded"] else all_of["backend"]
    changes = {"backend": backend, "model": all_of["model"]}
    return settings.model_copy(update={name: value for name, value in changes.items() if value is not None})


def _there(section: str, name: str, file: Path | None, checks: MistakeList) -> None:
    if file is not None and checks.here and not file.is_file():
        checks.add(section, [name], f"{name} is {file}, and there is no such file here. Paths begin at this folder.")


def _priced(section: str, max_usd: float, used: Settings, checks: MistakeList) -> None:
    from infra.prices import Prices

    if not checks.here:
        return
    try:
        known = Prices.of(used).known
    except ConfigurationError as error:
        checks.add("settings", ["prices_file"], str(error))
        return
    if not known:
        text = (
            f"max_usd is {max_usd:g}, but what a call costs is not known. Set usd_per_1m_prompt_tokens and "
            "usd_per_1m_completion_tokens in [settings], or as SEDI_USD_PER_1M_..., or prices_file, or limit by "
            "max_calls."
        )
        checks.add(section, ["max_usd"], text)


def _named(name: str, check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
