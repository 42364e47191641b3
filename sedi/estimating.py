"""What a run will still take, for `sedi preview` and `sedi run --estimate`: from its log, or from a preview."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from consumers.estimate.estimate import FEWEST, CallPace, CostDraws, CostEstimate, EstimateBasis, estimate
from schemas.errors import BrokerError, RunError

if TYPE_CHECKING:
    from consumers.estimate.estimate import AmountInterval
    from consumers.estimate.samples import CostHistory
    from infra.settings import Settings
    from producers.preview.preview import Previewed
    from schemas.policy import Policy
    from sedi.run_options import RunOptions

TARGET = 10_000
"""Kept rows, where a run has no target of its own."""

_MOST_ROWS = 10_000_000


class RunEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with what the run's budgets mean for it.

    within      for each budget, the share of draws in which it suffices for the target; None: its amount is not known
    affordable  kept rows that all budgets suffice for in the middle of the draws; None: without a budget
    notes       what the estimate stands on, and what it leaves out
    """

    run: str
    amounts: CostEstimate
    within: dict[str, float | None]
    affordable: int | None
    notes: tuple[str, ...]


def history_for(settings: Settings, run: str) -> CostHistory:
    """The history of a run, with today's prices where its answers have none. Raises RunError, BrokerError."""
    from consumers.estimate.samples import history_of
    from infra.log.source import KafkaSource
    from producers.calls.cost import Prices

    @cache
    def prices(model: str) -> Prices:
        return Prices.of(settings, model)

    return history_of(KafkaSource(settings, run), lambda answer: prices(answer.model).cost(answer.usage))


def estimate_run(settings: Settings, options: RunOptions) -> RunEstimate:
    """The estimate of a run from its log alone: no call is made and nothing started.

    Raises RunError when it has no history, BrokerError when the cluster does not answer.
    """
    from infra.cluster.listener import require_listener
    from infra.log.run import read_run

    run = options.run
    advice = f"`sedi preview`, with the same arguments, asks an LLM for a few and estimates from these (run {run!r})."
    try:
        require_listener(settings)
        policy = read_run(settings, run)[0].policy
    except RunError as error:
        raise RunError(f"{error} There is nothing to estimate from yet: {advice}") from error
    except BrokerError as error:
        if error.permanent:
            raise
        raise BrokerError(f"{error} For a run that is not there yet: {advice}") from error
    basis = basis_of(history := history_for(settings, run), policy)
    if len(basis.samples) < FEWEST:
        raise RunError(f"Run {run!r} has {len(basis.samples)} decided generations, too few to estimate from. {advice}")
    return estimated(settings, options, basis, history)


def basis_of(history: CostHistory, policy: Policy) -> EstimateBasis:
    """What a run's own log gives."""
    return EstimateBasis(
        samples=history.samples,
        kept=history.kept,
        threshold=policy.threshold,
        answers_apart=policy.answer == "kept",
        attempts=history.attempts,
        is_history=True,
        unanswered=history.unanswered,
    )


def basis_of_preview(found: Previewed, policy: Policy, pace: CallPace) -> EstimateBasis:
    """What a preview gives, for a run without a history."""
    from consumers.estimate.samples import GenerationSample

    return EstimateBasis(
        samples=[
            GenerationSample(
                generated=len(each.instructions),
                kept=each.kept,
                requests=each.requests,
                answered=each.answered,
                answers=each.answers,
            )
            for each in found.generations
        ],
        kept=found.kept,
        threshold=policy.threshold,
        answers_apart=found.answers_apart,
        attempts=found.attempts,
        pace=pace,
    )


def estimated(
    settings: Settings, options: RunOptions, basis: EstimateBasis, spent: CostHistory, target: int | None = None
) -> RunEstimate:
    """The estimate for a run's target and budgets. `spent`: what it has spent so far. Raises RunError."""
    amounts, draws = estimate(basis, target or options.max_kept or TARGET)
    within = _within(options, draws, spent)
    return RunEstimate(
        run=options.run,
        amounts=amounts,
        within=within,
        affordable=_affordable(options, basis, spent) if within else None,
        notes=tuple(_notes(settings, options, basis, amounts)),
    )


def budget_warning(settings: Settings, options: RunOptions, policy: Policy) -> str | None:
    """A line for a run whose budget will hardly suffice for its target; None for any other, or without a history."""
    if options.max_kept is None or not _budgets(options):
        return None
    history = history_for(settings, options.run)
    basis = basis_of(history, policy)
    if len(basis.samples) < FEWEST or not history.kept or history.kept >= options.max_kept:
        return None
    found = estimated(settings, options, basis, history)
    short = [flag for flag, share in found.within.items() if share is not None and share < 0.5]
    if not short:
        return None
    return (
        f"{' and '.join(short)} will hardly suffice for {options.max_kept:,} kept rows: by this run's yield for some "
        f"{found.affordable:,} (`sedi run --estimate`)"
    )


def _budgets(options: RunOptions) -> dict[str, float]:
    named = {"--max-calls": options.max_calls, "--max-tokens": options.max_tokens, "--max-usd": options.max_usd}
    return {flag: budget for flag, budget in named.items() if budget is not None}


def _within(options: RunOptions, draws: CostDraws, spent: CostHistory) -> dict[str, float | None]:
    drawn = {
        "--max-calls": (spent.calls, draws.calls),
        "--max-tokens": (spent.tokens, draws.tokens),
        "--max-usd": (spent.usd, draws.usd),
    }
    return {flag: CostDraws.reach(budget, *drawn[flag]) for flag, budget in _budgets(options).items()}


def _affordable(options: RunOptions, basis: EstimateBasis, spent: CostHistory) -> int | None:
    """The most kept rows for which every known budget suffices in half of the draws; None when none is known."""

    def suffices(target: int) -> bool:
        _, draws = estimate(basis, target)
        return all((share or 0.0) >= 0.5 for share in _known(_within(options, draws, spent)))

    if not _known(_within(options, estimate(basis, basis.kept)[1], spent)):
        return None
    low, high = basis.kept, max(2 * basis.kept, 1_000)
    while high < _MOST_ROWS and suffices(high):
        low, high = high, 2 * high
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        low, high = (middle, high) if suffices(middle) else (low, middle)
    return low


def _known(within: dict[str, float | None]) -> list[float]:
    return [share for share in within.values() if share is not None]


def _notes(settings: Settings, options: RunOptions, basis: EstimateBasis, amounts: CostEstimate) -> list[str]:
    notes = []
    if amounts.fall == "default":
        notes.append(
            "How the yield falls is not measured yet: the interval is from the built-in model's fall, which is slow, "
            "to that of the paper's model"
        )
    if amounts.usd is None:
        model = settings.model or settings.backend
        notes.append(
            f"No price is known for the model {model}; set SEDI_USD_PER_1M_PROMPT_TOKENS and "
            "SEDI_USD_PER_1M_COMPLETION_TOKENS"
        )
    if amounts.tokens is None:
        notes.append("The endpoint reports no tokens for some answers")
    if not amounts.answers_included:
        notes.append("Answers to kept rows come on top: none was measured")
    if options.from_seeds and options.from_documents:
        notes.append("What is made from documents is not in it")
    if options.judging:
        notes.append("Judging comes on top")
    if basis.is_history:
        notes.append("Hours are at the pace of the run so far, pauses left out")
    else:
        notes.append(f"Hours are by latencies with {basis.pace.in_flight} calls in flight, without training")
    return notes


def show_estimate(found: RunEstimate) -> None:
    """Print an estimate for people."""
    from sedi.output import console, percent, shown, table

    amounts = found.amounts
    out = console()
    rows: list[Sequence[object]] = [
        ("instructions to generate", *_cells(amounts.candidates)),
        ("calls", *_cells(amounts.calls)),
        ("tokens", *_cells(amounts.tokens)),
        ("USD", *_cells(amounts.usd, money=True)),
        ("hours", *_cells(amounts.hours, money=True)),
    ]
    title = f"From {amounts.kept:,} to {amounts.target:,} kept rows of run {found.run}"
    out.print(table(title, ("", "#low", "#middle", "#high"), rows))
    out.print(
        f"Measured: {amounts.generations:,} generations, {amounts.generated:,} instructions, yield "
        f"{percent(amounts.kept_share)}. Nine of ten draws are between low and high."
    )
    for flag, share in found.within.items():
        out.print(f"{flag} suffices in {percent(share)} of the draws")
    if found.affordable is not None:
        out.print(f"The budget suffices for some {shown(found.affordable)} kept rows")
    for note in found.notes:
        out.print(f"{note}.")


def _cells(interval: AmountInterval | None, *, money: bool = False) -> list[Any]:
    if interval is None:
        return [None, None, None]
    form = _money if money else _count
    return [None if each is None else form(each) for each in (interval.low, interval.middle, interval.high)]


def _count(amount: float) -> str:
    return f"{amount:,.0f}"


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"
