"""What the ranks do next, from what each of them has at hand: a pure function, so that all of them decide the same.

Before each step every rank tells the others its `RankOffer`, and each rank decides from all of them. So the batches are
the same however many ranks share the clusters: in `wait` always, at the end of the stream too, because that is decided
only when every rank is at its end; borrowing after a time depends on time, as with one process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.core.batches import Plan, plan_batch, plan_last

Decision = Plan | Literal["wait", "end", "stop"]


@dataclass(frozen=True)
class RankOffer:
    """What a rank has at hand for the next step.

    waiting    rows read and not yet taken, by cluster, of the clusters that are this rank's
    at_end     there was nothing more to read
    stop       it was asked to stop
    impatient  it has waited as long as it should
    ready      it holds its rows of the batch that the log names (said only when a logged batch is wanted)
    notes      lines for people
    unjudged   rows that wait for their score
    """

    waiting: Mapping[int, int]
    at_end: bool = False
    stop: bool = False
    impatient: bool = False
    ready: bool = False
    notes: tuple[str, ...] = ()
    unjudged: int = 0


def decide(offers: Sequence[RankOffer], size: int, *, last_batch: bool) -> Decision:
    """The next batch of `size` rows as (slot, cluster) pairs, or what to do instead; `last_batch`: at the end an
    incomplete one."""
    if any(offer.stop for offer in offers):
        return "stop"
    waiting = waiting_of(offers)
    over = all(offer.at_end for offer in offers)
    plan = plan_batch(waiting, size, "borrow" if over or any(offer.impatient for offer in offers) else "wait")
    if plan is not None:
        return plan
    if not over:
        return "wait"
    return (plan_last(waiting, size) if last_batch else ()) or "end"


def decide_logged(offers: Sequence[RankOffer]) -> Literal["take", "wait", "stop", "missing"]:
    """Whether the batch that the log names can be taken; `missing` when a rank has read all and lacks rows of it."""
    if any(offer.stop for offer in offers):
        return "stop"
    if all(offer.ready for offer in offers):
        return "take"
    return "missing" if any(offer.at_end and not offer.ready for offer in offers) else "wait"


def waiting_of(offers: Sequence[RankOffer]) -> dict[int, int]:
    """Rows read and not yet taken, of all ranks, by cluster."""
    return {cluster: rows for offer in offers for cluster, rows in offer.waiting.items()}
