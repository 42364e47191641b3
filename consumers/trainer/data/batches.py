"""Rows into batches. Each rank reads and trains the rows of its clusters, and all ranks make the same plan.

Before a step the ranks gather what each has, and all make the same plan from it (`plan`): equally many rows of each
cluster, in slot order. A slot that borrows is trained by the rank whose cluster lends. So batches do not depend on the
number of ranks. A later epoch reads exactly the rows that the first one trained.

Before a window's first step all ranks take out the rows of documents that were withdrawn by then (`withdrawn_rows`).

Rows are read (`log_feed`) and tokenized (`tokenize_ahead`) ahead of the steps; the plan is made when the batch is
needed, from the rows available then. Rows are taken off the feed only when a cluster has too few.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from consumers.trainer.data.log_feed import FedRows, Feed
from consumers.trainer.data.tokenize_ahead import DEPTH, TokenPrefetcher
from consumers.trainer.data.withdrawn_rows import WithdrawnRows
from consumers.trainer.distributed.plan import RankOffer, decide, decide_logged, waiting_of
from consumers.trainer.distributed.process_group import ProcessGroup
from infra.models.templates import EncodedRow
from infra.observed import observation
from schemas.errors import TrainerError
from schemas.events import BatchRow, InstructionKept, StepLogged
from streams.core.batches import BatchQueues, PartitionPosition, Plan, clusters_of_rank

_WAIT_S = 0.25


@dataclass(frozen=True)
class StreamEnds:
    """What a live stream does without a whole batch; see TrainOptions.

    window_rows   with `borrow_after_s`: once so many rows wait and no more arrive, empty clusters borrow at once, since
                  the generator may itself be waiting for the next window. None: time alone decides
    """

    last_batch: bool = False
    borrow_after_s: float | None = None
    window_rows: int | None = None


@dataclass(frozen=True)
class TrainedRow:
    """A row of a batch, for the log and the counts: its response tokens, and whether max_length cut it.

    generation_id   of the generation that it is from
    """

    row: BatchRow
    response: int
    truncated: bool
    generation_id: str = ""


@dataclass(frozen=True)
class RankBatch:
    """A batch as one rank has it.

    mine    tokens of this rank's rows, in slot order
    batch   rows of all ranks, in slot order
    waited  whether its rows had to be waited for
    """

    mine: tuple[EncodedRow, ...]
    batch: tuple[TrainedRow, ...]
    waited: bool


class RowStream:
    """The batches of one epoch after another. Methods marked (all ranks) are collectives: all ranks call them in the
    same order.

    `encode` gives a row's tokens; it is called in a thread. `say` prints a line. `withdrawn` None: no row is of a
    document. The caller closes the feed and `withdrawn`.
    """

    def __init__(
        self,
        feed: Feed,
        group: ProcessGroup,
        clusters: int,
        batch_size: int,
        ends: StreamEnds,
        *,
        encode: Callable[[InstructionKept], EncodedRow],
        say: Callable[[str], None],
        withdrawn: WithdrawnRows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._withdrawn = withdrawn or WithdrawnRows(None, group)
        self._feed = feed
        self._group = group
        self._ends = ends
        self._say = say
        self._tokens = TokenPrefetcher(encode)
        self._clusters = clusters_of_rank(group.rank, group.size, clusters)
        self._batch_size = batch_size
        self._rows_per_cluster = batch_size // clusters
        # Each rank checks its own part: if all ranks together have a window of rows, one of them has its part of it.
        self._window_part = None if ends.window_rows is None else -(-ends.window_rows // group.size)
        self._queues = BatchQueues(self._clusters)
        self._last_batch = ends.last_batch
        self._exhausted = False  # all ranks are at the end of this pass
        self.unreadable = 0
        self.left_out = 0

    def open(
        self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None = None
    ) -> None:
        """Start an epoch at `positions`: live, or up to `limits`."""
        self._queues = BatchQueues(self._clusters, positions)
        self._last_batch = self._ends.last_batch or limits is not None
        self._exhausted = False
        self._feed.open(self._queues.positions, limits)

    def positions(self) -> dict[int, PartitionPosition]:
        """How far each partition has been taken into batches (all ranks)."""
        return {cluster: at for part in self._group.all_gather(self._queues.positions) for cluster, at in part.items()}

    @property
    def documents_offset(self) -> int:
        """The last record of `documents` whose withdrawal counts, -1 for none."""
        return self._withdrawn.documents_offset

    def read_withdrawals(self, through: int | None = None) -> None:
        """Drop the rows of documents that are withdrawn by now, or by offset `through` of `documents` (all ranks)."""
        if through is not None and through <= self.documents_offset:
            return
        if number := self._withdrawn.renew(through):
            self._queues.drop(self._withdrawn.has)
            self._say(f"Withdrawn since: {number} documents. No step from here on has a row of them.")

    def is_withdrawn(self, row: BatchRow) -> bool:
        """Whether the document of a row on the training log is withdrawn, as far as withdrawals were read."""
        return self._withdrawn.has_generation(row.generated_offset)

    def next_batch(
        self, stop: Callable[[], bool], *, begins_window: bool = False
    ) -> RankBatch | Literal["end", "stop"]:
        """The next batch; waits for rows (all ranks). `stop`, with nothing taken, when any rank's `stop` is true.

        `begins_window`: withdrawals are read until there is a batch; else those that were read stay in force.
        """
        since, reported, waited = self._clock(), False, False
        while True:
            observation().beat()
            if begins_window:
                self.read_withdrawals()
            fed = self._read(_WAIT_S if waited else 0.0)
            offers = self._gather_offers(
                RankOffer(
                    self._queues.waiting,
                    fed.at_end,
                    stop(),
                    self._must_borrow(since, nothing_arrived=waited and not fed.rows),
                    notes=fed.notes,
                    unjudged=fed.unjudged,
                    unanswered=fed.unanswered,
                    left_out=fed.left_out,
                )
            )
            decision = decide(offers, self._batch_size, last_batch=self._last_batch)
            if decision == "wait":
                waited, reported = True, reported or self._report_waiting(since, offers)
                continue
            self._exhausted = self._exhausted or all(offer.at_end for offer in offers)
            return decision if isinstance(decision, str) else self._take(decision, waited)

    def logged_batch(self, step: StepLogged, stop: Callable[[], bool]) -> RankBatch | Literal["stop"]:
        """The batch of a step that is on the training log already (all ranks)."""
        plan, ids = tuple((row.slot, row.cluster) for row in step.rows), [row.id for row in step.rows]
        waited = False
        while True:
            ready, fed = self._queues.holds(plan, ids), FedRows()
            if not ready and not self._exhausted:
                fed = self._read(_WAIT_S, to_end=True)
                ready = self._queues.holds(plan, ids)
            at_end = fed.at_end or self._exhausted
            decision = decide_logged(
                self._gather_offers(
                    RankOffer(self._queues.waiting, at_end, stop(), ready=ready, notes=fed.notes, left_out=fed.left_out)
                )
            )
            match decision:
                case "take":
                    return self._take(plan, waited)
                case "stop":
                    return "stop"
                case "missing":
                    raise TrainerError(
                        f"The training log has step {step.step} with rows that the log no longer has. Its windows were "
                        "made from another log: train under another run, or without writing to the log."
                    )
                case "wait":
                    waited = True

    def close(self) -> None:
        self._tokens.close()

    def _read(self, wait_s: float, to_end: bool = False) -> FedRows:
        """Move rows from the feed to the queues, if the next batch may need them."""
        if self._exhausted:
            return FedRows(at_end=True)
        if not wait_s and min(self._queues.waiting.values()) >= self._rows_per_cluster:
            return FedRows()
        fed = self._feed.take(wait_s, to_end)
        for row in self._withdrawn.without(fed.rows):
            self._queues.feed(row)
        return fed

    def _gather_offers(self, mine: RankOffer) -> Sequence[RankOffer]:
        offers = self._group.all_gather(mine)
        self.left_out += sum(offer.left_out for offer in offers)
        for note in (note for offer in offers for note in offer.notes):
            self.unreadable += 1
            self._say(note)
        return offers

    def _take(self, plan: Plan, waited: bool) -> RankBatch:
        placed = self._queues.take_planned(plan)
        mine = tuple(self._tokens.tokens_of(each.row) for each in placed)
        self._tokens.prefetch(self._queues.ahead(DEPTH * self._rows_per_cluster))
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
                each.row.kept.generation_id,
            )
            for each, tokens in zip(placed, mine, strict=True)
        ]
        of_all = [row for rows in self._group.all_gather(trained) for row in rows]
        return RankBatch(mine, tuple(sorted(of_all, key=lambda each: each.row.slot)), waited)

    def _must_borrow(self, since: float, *, nothing_arrived: bool) -> bool:
        """Whether empty clusters borrow now. `nothing_arrived`: the last read waited for rows in vain."""
        limit_s, enough = self._ends.borrow_after_s, self._window_part
        if limit_s is None:
            return False
        if nothing_arrived and enough is not None and sum(self._queues.waiting.values()) >= enough:
            return True
        return self._clock() - since >= limit_s

    def _report_waiting(self, since: float, offers: Sequence[RankOffer]) -> bool:
        if self._clock() - since < 1.0:
            return False
        waiting, unjudged = waiting_of(offers), sum(offer.unjudged for offer in offers)
        judge = f" {unjudged} rows wait for their score: is `sedi judge` running?" if unjudged else ""
        unanswered = sum(offer.unanswered for offer in offers)
        answerer = (
            f" Rows of {unanswered} clusters wait for their answer: is `sedi answer` running, and has it a budget left?"
            if unanswered
            else ""
        )
        short = sorted(cluster for cluster, rows in waiting.items() if rows < self._rows_per_cluster)
        few = "are empty" if self._rows_per_cluster == 1 else f"have fewer than {self._rows_per_cluster}"
        self._say(f"Waiting for rows: {len(short)} of {len(waiting)} clusters {few} ({short}).{answerer}{judge}")
        return True
