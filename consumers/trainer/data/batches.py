"""Rows into batches, shared by the ranks: each reads and trains the rows of its clusters, all make the same plan.

Before a step every rank tells what it has at hand and the same plan is made by all of them (`plan`): equally many rows
of each cluster, in slot order; a slot that borrows is trained by the rank whose cluster lends. So what a batch is does
not depend on the number of ranks. A later epoch reads exactly the rows that the first one trained (up to its last
positions). Rows are read (`ahead`) and tokenised (`tokens`) ahead of the steps; the plan is made when the batch is
needed, from what is there then. Reads no more than it needs: rows come off the feed only when a cluster is empty.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from consumers.trainer.data.log_feed import FedRows, Feed
from consumers.trainer.data.templates import EncodedRow
from consumers.trainer.data.tokenize_ahead import DEPTH, TokensAhead
from consumers.trainer.distributed.plan import RankOffer, decide, decide_logged, waiting_of
from consumers.trainer.distributed.process_group import ProcessGroup
from schemas.errors import TrainerError
from schemas.events import BatchRow, InstructionKept, StepLogged
from streams.core.batches import BatchQueues, PartitionPosition, Plan, clusters_of_rank

_WAIT_S = 0.25


@dataclass(frozen=True)
class StreamEnds:
    """What a live stream does without a whole batch; see TrainOptions.

    window_rows   with `borrow_after_s`: rows at hand from which on nothing is waited for any more once no further rows
                  come, so that a generator that waits for the next window is not waited for. None: time alone decides
    """

    last_batch: bool = False
    borrow_after_s: float | None = None
    window_rows: int | None = None


@dataclass(frozen=True)
class TrainedRow:
    """A row of a batch, for the log and the counts: `response` tokens, and whether it lost some to the limit."""

    row: BatchRow
    response: int
    truncated: bool


@dataclass(frozen=True)
class RankBatch:
    """A batch as one rank has it.

    mine    the tokens of this rank's rows, in slot order
    batch   the rows of all ranks, in slot order
    waited  whether it had to be waited for
    """

    mine: tuple[EncodedRow, ...]
    batch: tuple[TrainedRow, ...]
    waited: bool


class RowStream:
    """The batches of one epoch after another. What is marked (all ranks) must be called by all of them in one order.

    `encode` gives a row's tokens; it is called in a thread. `say` takes lines for people. The feed is the caller's.
    """

    def __init__(
        self,
        feed: Feed,
        world: ProcessGroup,
        clusters: int,
        batch_size: int,
        ends: StreamEnds,
        *,
        encode: Callable[[InstructionKept], EncodedRow],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._world = world
        self._ends = ends
        self._say = say
        self._tokens = TokensAhead(encode)
        self._clusters = clusters_of_rank(world.rank, world.size, clusters)
        self._batch_size = batch_size
        self._of_each = batch_size // clusters
        # Each rank looks at its own share of the rows: if all together have a window, one of them has its share of it.
        self._deep = None if ends.window_rows is None else -(-ends.window_rows // world.size)
        self._queues = BatchQueues(self._clusters)
        self._last_batch = ends.last_batch
        self._over = False  # the ranks have agreed that nothing more comes in this pass
        self.unreadable = 0

    def open(
        self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None = None
    ) -> None:
        """Start an epoch at `positions`, live, or up to `limits`."""
        self._queues = BatchQueues(self._clusters, positions)
        self._last_batch = self._ends.last_batch or limits is not None
        self._over = False
        self._feed.open(self._queues.positions, limits)

    def positions(self) -> dict[int, PartitionPosition]:
        """How far each partition has been taken into batches (all ranks)."""
        return {cluster: at for held in self._world.all_gather(self._queues.positions) for cluster, at in held.items()}

    def next_batch(self, stop: Callable[[], bool]) -> RankBatch | Literal["end", "stop"]:
        """The next batch; waits for rows (all ranks). `stop` when any rank's `stop` says so; then nothing is taken."""
        since, told, waited = self._clock(), False, False
        while True:
            fed = self._read(_WAIT_S if waited else 0.0)
            offers = self._offers(
                RankOffer(
                    self._queues.waiting,
                    fed.at_end,
                    stop(),
                    self._patience_is_over(since, nothing_came=waited and not fed.rows),
                    notes=fed.notes,
                    unjudged=fed.unjudged,
                )
            )
            decision = decide(offers, self._batch_size, last_batch=self._last_batch)
            if decision == "wait":
                waited, told = True, told or self._tell(since, offers)
                continue
            self._over = self._over or all(offer.at_end for offer in offers)
            return decision if isinstance(decision, str) else self._share(decision, waited)

    def logged_batch(self, step: StepLogged, stop: Callable[[], bool]) -> RankBatch | Literal["stop"]:
        """The batch of a step that the training log has already (all ranks)."""
        plan, ids = tuple((row.slot, row.cluster) for row in step.rows), [row.id for row in step.rows]
        waited = False
        while True:
            ready, fed = self._queues.holds(plan, ids), FedRows()
            if not ready and not self._over:
                fed = self._read(_WAIT_S, to_end=True)
                ready = self._queues.holds(plan, ids)
            at_end = fed.at_end or self._over
            decision = decide_logged(
                self._offers(RankOffer(self._queues.waiting, at_end, stop(), ready=ready, notes=fed.notes))
            )
            match decision:
                case "take":
                    return self._share(plan, waited)
                case "stop":
                    return "stop"
                case "missing":
                    raise TrainerError(
                        f"The training log has step {step.step} with rows that `kept` no longer has. Its windows were "
                        "made from another log: train under another run, or without writing to the log."
                    )
                case "wait":
                    waited = True

    def close(self) -> None:
        self._tokens.close()

    def _read(self, wait_s: float, to_end: bool = False) -> FedRows:
        """Take what has come into the queues, when a batch may need it."""
        if self._over:
            return FedRows(at_end=True)
        if not wait_s and min(self._queues.waiting.values()) >= self._of_each:
            return FedRows()
        fed = self._feed.take(wait_s, to_end)
        for row in fed.rows:
            self._queues.feed(row)
        return fed

    def _offers(self, mine: RankOffer) -> Sequence[RankOffer]:
        offers = self._world.all_gather(mine)
        for note in (note for offer in offers for note in offer.notes):
            self.unreadable += 1
            self._say(note)
        return offers

    def _share(self, plan: Plan, waited: bool) -> RankBatch:
        placed = self._queues.take_planned(plan)
        mine = tuple(self._tokens.of(each.row) for each in placed)
        self._tokens.foresee(self._queues.ahead(DEPTH * self._of_each))
        trained = [
            TrainedRow(
                BatchRow(
                    id=each.row.kept.id,
                    slot=each.slot,
                    cluster=each.cluster,
                    generated_offset=each.row.kept.generated_offset,
                ),
                tokens.response,
                tokens.truncated,
            )
            for each, tokens in zip(placed, mine, strict=True)
        ]
        of_all = [row for rows in self._world.all_gather(trained) for row in rows]
        return RankBatch(mine, tuple(sorted(of_all, key=lambda each: each.row.slot)), waited)

    def _patience_is_over(self, since: float, *, nothing_came: bool) -> bool:
        """Whether empty clusters borrow now. `nothing_came`: rows were waited for just now, in vain."""
        patience = self._ends.borrow_after_s
        if patience is None:
            return False
        if nothing_came and self._deep is not None and sum(self._queues.waiting.values()) >= self._deep:
            return True
        return self._clock() - since >= patience

    def _tell(self, since: float, offers: Sequence[RankOffer]) -> bool:
        if self._clock() - since < 1.0:
            return False
        waiting, unjudged = waiting_of(offers), sum(offer.unjudged for offer in offers)
        judge = f" {unjudged} rows wait for their score: is `sedi judge` at work?" if unjudged else ""
        short = sorted(cluster for cluster, rows in waiting.items() if rows < self._of_each)
        few = "are empty" if self._of_each == 1 else f"have fewer than {self._of_each}"
        self._say(f"Waiting for rows: {len(short)} of {len(waiting)} clusters {few} ({short}).{judge}")
        return True
