"""The state of a run at any time: kept rows, the seed pool with its scores, the cost.

The state is decided again up to there, so it comes with an audit. The cost is the ledger's up to the time at which the
last generation of that state was written.
"""

import msgspec

from consumers.copied_fields import fields_of
from consumers.replay.auditor import Auditor, Progress
from consumers.replay.extent import AuditExtent
from consumers.replay.parallel import audit
from consumers.replay.result import Audit
from infra.log.source import Source
from schemas.errors import RunError
from streams.core.ledger import Ledger
from streams.core.scores import SeedScore


class SeedAt(msgspec.Struct, frozen=True, kw_only=True):
    """A seed in the pool.

    since_offset      the command that put it there, -1 for the start
    shown             decided generations that it was shown in
    generated, kept   SeedGen and SeedKept
    """

    id: str
    instruction: str
    since_offset: int
    shown: int
    generated: int
    kept: int
    score: float | None


class CallsUntil(msgspec.Struct, frozen=True, kw_only=True):
    """LLM calls until then; `usd` is None when a call has no known cost, `known_usd` is the sum of the known ones."""

    started: int
    answered: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    known_usd: float


class RunStateAt(msgspec.Struct, frozen=True, kw_only=True):
    """The state after the decision on `offset` of `generated`, which was written at `timestamp_ms`."""

    run: str
    offset: int
    timestamp_ms: int
    generated: int
    kept: int
    clusters: tuple[int, ...]
    classifier_offset: int
    commands_offset: int
    seeds: tuple[SeedAt, ...]
    spent: CallsUntil
    audit: Audit


def state_at(
    source: Source,
    *,
    offset: int | None = None,
    timestamp_ms: int | None = None,
    progress: Progress = lambda done, of: None,
) -> RunStateAt:
    """The state of a run at an offset of `generated`, or at a time.

    Raises RunError when the filter had decided nothing by then.
    """
    auditors: list[Auditor] = []
    extent = AuditExtent(to_offset=offset, to_ms=timestamp_ms)
    found = audit(source, extent, progress=progress, at_end=auditors.append)
    (auditor,) = auditors
    state, pool = auditor.state, auditor.pool
    if state.applied < 0 or pool is None:
        raise RunError(f"In {source.name} nothing was decided by then. Name a later offset or time.")
    if offset is not None and state.applied < offset:
        raise RunError(
            f"In {source.name} offset {offset} of generated is not decided; the last decided one is {state.applied}."
        )
    clusters = [0] * auditor.configured.policy.clusters
    for row in state.kept.values():
        clusters[row.cluster] += 1
    scores = [(seed, state.scores.get(seed.task.id, SeedScore())) for seed in pool.active]
    return RunStateAt(
        run=found.run,
        offset=state.applied,
        timestamp_ms=auditor.timestamp_ms,
        generated=state.generated_total,
        kept=len(state.kept),
        clusters=tuple(clusters),
        classifier_offset=state.classifier_offset,
        commands_offset=pool.commands_offset,
        seeds=tuple(SeedAt(**fields_of(SeedAt, seed.task, seed, score), score=score.value) for seed, score in scores),
        spent=_spent(source, timestamp_ms if timestamp_ms is not None else auditor.timestamp_ms),
        audit=found,
    )


def _spent(source: Source, timestamp_ms: int) -> CallsUntil:
    ledger = Ledger()
    with source.open(["calls"]) as reading:
        while (record := reading.next("calls", 0)) is not None and record.timestamp_ms <= timestamp_ms:
            if record.event is not None:
                ledger.apply(record.event, record.id)
    return CallsUntil(**fields_of(CallsUntil, ledger), usd=ledger.cost_usd, known_usd=ledger.known_cost_usd)
