"""A run in numbers, by its log; shared by the report and the status.

Instructions that the filter has not decided are `undecided`: `kept + rejected_total + undecided == generated`. None
means "not known", such as a cost without a price.
"""

from collections import Counter

import msgspec

from consumers.folds.run_fold import RunFold
from schemas.policy import Mode
from streams.core.releases import releases


class CallCounts(msgspec.Struct, frozen=True, kw_only=True):
    """LLM calls by how they ended, as `streams.core.ledger` counts them.

    failed_paid    failed calls that took tokens, by the endpoint
    perhaps_paid   failed calls that may have been paid for; the endpoint does not say
    """

    started: int
    answered: int
    failed: int
    failed_paid: int
    perhaps_paid: int
    lost: int
    open: int
    repeated: int


class BatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Batches at an endpoint; `requests`: those in open ones without an outcome; `ended`: by status."""

    open: int
    requests: int
    ended: dict[str, int]


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the answers and failed calls that report them; None when none does.

    cached            of the prompt tokens, those that were in the endpoint's cache
    answers_without   answers that report none, so that there are more tokens than these
    """

    prompt: int | None
    cached: int | None
    completion: int | None
    answers_without: int


class CallCost(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of the calls, in USD.

    usd            of all calls but lost ones; None when one of them has no known cost
    known_usd      of the calls with a known cost, which `answers_without` and failed calls perhaps paid for lack
    usd_per_kept   None when `usd` is, or nothing is kept
    """

    usd: float | None
    known_usd: float
    answers_without: int
    usd_per_kept: float | None


class AnsweredCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Kept rows by their answer, in a run that answers kept instructions alone; together `kept`.

    used           rows with an answer: those that are trained and exported
    waiting        rows without an answer yet
    unused         rows whose answer is not used, by reason
    usd_per_used   cost of all calls for each used row; None when it is not known, or there is none
    released       unused rows that block no similar ones; absent in a run that releases none
    """

    used: int
    waiting: int
    unused: dict[str, int]
    unused_total: int
    usd_per_used: float | None
    released: int | msgspec.UnsetType = msgspec.UNSET


class GeneratorHalt(msgspec.Struct, frozen=True, kw_only=True):
    """A generator halted because going on would only have spent."""

    lane: str
    at_ms: int
    reason: str


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One run in numbers.

    yield                  kept / decided
    halts                  generators that halted, oldest first; a lane may have been started again since
    clusters               kept instructions in each cluster
    answered               absent unless the run answers kept instructions alone
    batches                absent unless calls were asked in batches
    filter_lag             records of `generated` that the filter has not decided
    replacements           seeds that were replaced
    generations_after_replacement       generations that sampled a pool in which training had replaced a seed
    generations_with_replacement_seed   generations that were shown a seed that the run did not start with
    after_replacement_share, with_replacement_seed_share   the same, of all generations; None before there is one
    dead_letters           records that could not be read and were put aside, by topic
    """

    run: str
    mode: Mode
    first_event_ms: int | None
    last_event_ms: int | None
    stopped: str | None
    halts: tuple[GeneratorHalt, ...]
    calls: CallCounts
    generations: int
    generated: int
    undecided: int
    filter_lag: int
    kept: int
    rejected: dict[str, int]
    rejected_total: int
    kept_share: float | None = msgspec.field(name="yield")
    unparsed: dict[str, int]
    unparsed_total: int
    clusters: tuple[int, ...]
    classifiers: int
    steps: int
    epochs: int
    windows: int
    replacements: int
    generations_after_replacement: int
    generations_with_replacement_seed: int
    after_replacement_share: float | None
    with_replacement_seed_share: float | None
    cost: CallCost
    tokens: TokenCounts
    dead_letters: dict[str, int]
    answered: AnsweredCounts | msgspec.UnsetType = msgspec.UNSET
    batches: BatchCounts | msgspec.UnsetType = msgspec.UNSET


def counts_of(fold: RunFold) -> RunCounts:
    verdicts, ledger, policy = fold.verdicts, fold.ledger, fold.configured.policy
    decided = verdicts.decided_offset
    clusters = [0] * policy.clusters
    for offset, cluster in verdicts.kept.values():
        if offset <= decided:
            # `problems` reports a cluster that the policy does not have
            clusters[min(cluster, policy.clusters - 1)] += 1
    rejected: dict[str, int] = {}
    for offset, reason in verdicts.rejected.values():
        if offset <= decided:
            rejected[reason] = rejected.get(reason, 0) + 1
    kept, rejected_total = sum(clusters), sum(rejected.values())
    initial = {seed.id for seed in fold.configured.seeds}
    generations = verdicts.generations.values()
    first = next((command.offset for command in fold.commands if command.event.outcome == "replaced"), None)
    after = 0 if first is None else sum(generation.seed_commands_offset >= first for generation in generations)
    shown = sum(not initial.issuperset(generation.seed_ids) for generation in generations)
    some_usage = ledger.answered > ledger.without_usage or not ledger.answered or ledger.failed_paid > 0
    return RunCounts(
        run=fold.configured.run,
        mode=policy.mode,
        first_event_ms=fold.first_ms,
        last_event_ms=fold.last_ms,
        stopped=None if fold.stopped is None else fold.stopped[1],
        halts=tuple(
            GeneratorHalt(lane=event.lane, at_ms=at_ms, reason=event.reason)
            for at_ms, event in sorted(fold.halted.values(), key=lambda halt: halt[0])
        ),
        calls=msgspec.convert(ledger, CallCounts, from_attributes=True),
        generations=len(generations),
        generated=sum(generation.instructions for generation in generations),
        undecided=sum(g.instructions for offset, g in verdicts.generations.items() if offset > decided),
        filter_lag=verdicts.lag,
        kept=kept,
        rejected=dict(sorted(rejected.items(), key=lambda item: (-item[1], item[0]))),
        rejected_total=rejected_total,
        kept_share=kept / (kept + rejected_total) if kept + rejected_total else None,
        unparsed=dict(fold.unparsed.most_common()),
        unparsed_total=fold.unparsed.total(),
        clusters=tuple(clusters),
        classifiers=len(fold.classifiers),
        steps=fold.steps,
        epochs=max((window.epoch for window in fold.windows), default=0),
        windows=len(fold.windows),
        replacements=fold.replacements,
        generations_after_replacement=after,
        generations_with_replacement_seed=shown,
        after_replacement_share=after / len(generations) if generations else None,
        with_replacement_seed_share=shown / len(generations) if generations else None,
        cost=CallCost(
            usd=ledger.cost_usd,
            known_usd=ledger.known_cost_usd,
            answers_without=ledger.without_cost,
            usd_per_kept=None if ledger.cost_usd is None or not kept else ledger.cost_usd / kept,
        ),
        tokens=TokenCounts(
            prompt=ledger.prompt_tokens if some_usage else None,
            cached=ledger.cached_tokens if ledger.with_cached else None,
            completion=ledger.completion_tokens if some_usage else None,
            answers_without=ledger.without_usage,
        ),
        dead_letters={topic: len(places) for topic, places in sorted(fold.dead_letters.items())},
        answered=_answer_counts(fold) if policy.answer == "kept" else msgspec.UNSET,
        batches=_batch_counts(fold),
    )


def _batch_counts(fold: RunFold) -> BatchCounts | msgspec.UnsetType:
    found = fold.batches
    if not found.open and not found.ended:
        return msgspec.UNSET
    return BatchCounts(open=len(found.open), requests=found.requests, ended=dict(sorted(found.ended.items())))


def _answer_counts(fold: RunFold) -> AnsweredCounts:
    verdicts, cost = fold.verdicts, fold.ledger.cost_usd
    kept = [id for id, (offset, _) in verdicts.kept.items() if offset <= verdicts.decided_offset]
    reasons = [fold.answered[id] for id in kept if id in fold.answered]
    unused = Counter(reason for reason in reasons if reason is not None)
    used = len(reasons) - unused.total()
    return AnsweredCounts(
        used=used,
        waiting=len(kept) - len(reasons),
        unused=dict(sorted(unused.items(), key=lambda item: (-item[1], item[0]))),
        unused_total=unused.total(),
        usd_per_used=None if cost is None or not used else cost / used,
        released=len(fold.released) if releases(fold.configured.policy) else msgspec.UNSET,
    )
