"""The result of an audit."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from consumers.evaluation.results import EvaluationReport
from consumers.replay.findings import SHOWN, Divergence, Place, Repeat, Unreadable, in_order


class ReferenceCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A sample of the verdicts, decided again by the `rouge_score` package.

    sampled, of     verdicts checked, and verdicts to sample from: kept, or rejected as similar
    compared_with   kept instructions on the log, each compared with every sampled one after it
    pairs           comparisons made
    differences     verdicts that rouge_score decides differently; they are among the audit's divergences
    """

    sampled: int
    of: int
    compared_with: int
    pairs: int
    differences: int
    seconds: float


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an audit.

    from_offset, through_offset   offsets of `generated` that were decided again
    undecided      records of `generated` without a verdict yet
    pending        kept rows of generations without a verdict yet
    checked        how many of each were compared
    divergences    their count, by kind in `by_kind`; `first` and the first few in `found`
    repeats        events that are on the log more than once, by topic; the first few in `repeated`
    unreadable     records that cannot be read, by topic; the first few in `not_read`
    not_in_dead_letters   (topic, partition, offset) of those that are not among the dead letters yet
    digests        of the log from its start (`consumers.replay.digests`)
    records        records read
    reference      a sample of verdicts checked by rouge_score, on request
    evaluation     report of evaluations, computed again; absent without an evaluation
    unanswered     kept rows whose answer is still to come; absent in a run that answers all instructions
    """

    run: str
    from_offset: int
    through_offset: int
    undecided: int
    pending: int
    checked: dict[str, int]
    divergences: int
    by_kind: dict[str, int]
    first: Divergence | None
    found: tuple[Divergence, ...]
    repeats: dict[str, int]
    repeated: tuple[Repeat, ...]
    unreadable: dict[str, int]
    not_read: tuple[Unreadable, ...]
    not_in_dead_letters: tuple[Place, ...]
    digests: dict[str, str]
    records: int
    seconds: float
    reference: ReferenceCheck | None = None
    evaluation: EvaluationReport | msgspec.UnsetType = msgspec.UNSET
    unanswered: int | msgspec.UnsetType = msgspec.UNSET


def with_divergences(audit: Audit, found: Iterable[Divergence], by_kind: Mapping[str, int]) -> Audit:
    """An audit with further divergences: the first few of them, and their counts by kind."""
    listed = sorted((*audit.found, *found), key=in_order)
    kinds = Counter(audit.by_kind) + Counter(by_kind)
    return msgspec.structs.replace(
        audit,
        divergences=kinds.total(),
        by_kind=dict(kinds.most_common()),
        first=listed[0] if listed else None,
        found=tuple(listed[:SHOWN]),
    )
