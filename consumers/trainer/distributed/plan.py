"""What all ranks do next: a pure function of the rows that each has, so that all ranks decide the same.

Before each step the ranks gather their `RankOffer`s, and each decides from all of them. So the batches do not depend on
the number of ranks: the end of the stream is decided only when every rank is at its end. Only borrowing after a time
depends on timing, as it does with one process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.core.batches import Plan, plan_batch, plan_last

Decision = Plan | Literal["wait", "end", "stop"]


@dataclass(frozen=True)
class RankOffer:
    """What a rank has for the next step.

    waiting    rows read and not yet taken, by cluster, of this rank's clusters
    at_end     there is nothing more to read
    stop       it has received a signal to stop
    impatient  it has waited as long as it may: empty clusters borrow
    ready      for a batch that the log names: it has its rows of it
    notes      lines to print
    unjudged   rows that wait for their score
    unanswered clusters with kept rows that wait for their answer
    left_out   rows dropped since the last offer
    """

    waiting: Mapping[int, int]
    at_end: bool = False
    stop: bool = False
    impatient: bool = False
    ready: bool = False
    notes: tuple[str, ...] = ()
    unjudged: int = 0
    unanswered: int = 0
    left_out: int = 0


def decide(offers: Sequence[RankOffer], size: int, *, last_batch: bool) -> Decision:
    """The next batch of `size` rows as (slot, cluster) pairs, or what to do instead. With `last_batch` the rows at the
    end make an incomplete batch."""
    if any(offer.stop for offer in offers):
        return "stop"
    waiting = waiting_of(offers)
    at_end = all(offer.at_end for offer in offers)
    plan = plan_batch(waiting, size, "borrow" if at_end or any(offer.impatient for offer in offers) else "wait")
    if plan is not None:
        return plan
    if not at_end:
        return "wait"
    return (plan_last(waiting, size) if last_batch else ()) or "end"


def decide_logged(offers: Sequence[RankOffer]) -> Literal["take", "wait", "stop", "missing"]:
    """Whether the batch that the log names can be taken; `missing` when a rank is at its end and lacks rows of it."""
    if any(offer.stop for offer in offers):
        return "stop"
    if all(offer.ready for offer in offers):
        return "take"
    return "missing" if any(offer.at_end and not offer.ready for offer in offers) else "wait"


def waiting_of(offers: Sequence[RankOffer]) -> dict[int, int]:
    """Rows read and not yet taken, of all ranks, by cluster."""
    return {cluster: rows for offer in offers for cluster, rows in offer.waiting.items()}
