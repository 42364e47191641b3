"""A generator that waits for training and a trainer that waits for rows never deadlock."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from consumers.trainer.data.batches import RankBatch, RowStream, StreamEnds
from consumers.trainer.data.log_feed import FedRows
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.options import BORROW_AFTER_S
from infra.models.templates import EncodedRow
from producers.calls.limits import AHEAD_WINDOWS, Limits
from producers.generate.backpressure import EVERY_S, FIRST_S, Backpressure
from producers.generate.progress import LaneProgress
from producers.generate.trainer_backlog import TrainerBacklog
from schemas import ids
from schemas.events import InstructionKept, StepLogged, TrainingLogged
from schemas.policy import Policy, policy_for
from streams.core.batches import KeptRow, PartitionPosition
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_progress import generated, rejected, write
from tests.unit.trainer import tiny

OF_EACH = 12  # rows kept of a generation

POLICY = policy_for()
WINDOW = POLICY.window_steps * POLICY.batch_size


@dataclass
class Loop:
    """A generator with its filter on one side, a trainer on the other, and a clock that runs while one waits.

    cluster_of   which cluster the n-th row falls into
    passes       whether the trainer takes the n-th row, or passes it over as one with a low score
    most_ahead   kept rows that no logged window held, at the most, when a generation began
    """

    limits: Limits
    cluster_of: Callable[[int], int]
    borrow_after_s: float | None = BORROW_AFTER_S
    passes: Callable[[int], bool] = lambda _: True
    policy: Policy = POLICY
    now: float = 0.0
    messages: list[str] = field(default_factory=list)
    rows: list[InstructionKept] = field(default_factory=list)
    most_ahead: int = 0

    def __post_init__(self) -> None:
        self.log, self.backlog = MemoryLog(), TrainerBacklog()
        self.progress = LaneProgress("main", configured(self.policy))
        self.backpressure = Backpressure(self.messages.append, lambda: self.now)
        self._new: list[KeptRow] = []
        self._offsets: Counter[int] = Counter()

    # -- the generator and the filter ----------------------------------------------------------------------------------

    def generate(self) -> None:
        """Begin a generation, and let it be decided, if it may."""
        self.log.refresh(self.progress)
        ahead = self.progress.untrained_at_most
        if self.limits.max_ahead is not None and ahead > self.limits.max_ahead:
            ahead = self.backlog.count(self.progress.trained_to)
        behind = self.limits.waits_for(self.progress, ahead, OF_EACH)
        self.backpressure.update(behind, self.limits, self.progress, ahead)
        if behind is not None:
            return
        self.most_ahead = max(self.most_ahead, len(self.rows) - sum(self.progress.trained.values()))
        number = self.progress.next_number
        write(self.log, generated(number))
        for place in range(OF_EACH):
            cluster = self.cluster_of(len(self.rows))
            kept = InstructionKept(
                id=f"{len(self.rows)}",
                instruction="i",
                input="",
                output="o",
                generation_id="g",
                generated_offset=number,
                place=place,
                cluster=cluster,
                classifier_offset=0,
            )
            self.backlog.keep(kept)
            if self.passes(len(self.rows)):
                self._new.append(KeptRow(self._offsets[cluster], kept))
                self._offsets[cluster] += 1
            self.rows.append(kept)
        write(self.log, rejected(number, kept_total=len(self.rows)))

    # -- what the trainer reads from -----------------------------------------------------------------------------------

    def open(self, positions: Mapping[int, PartitionPosition], limits: Mapping[int, PartitionPosition] | None) -> None:
        """It reads from the start."""

    def take(self, wait_s: float, to_end: bool = False) -> FedRows:
        """What has come; while the trainer waits, the generator goes on."""
        self.now += wait_s
        self.generate()
        new, self._new = self._new, []
        return FedRows(tuple(new))

    def close(self) -> None:
        """Nothing is open."""

    # -- the trainer ---------------------------------------------------------------------------------------------------

    def train(self, steps: int, within_s: float) -> list[RankBatch]:
        """Train so many steps, or as many as come in that time."""
        stream = RowStream(
            self,
            ProcessGroup(),
            self.policy.clusters,
            self.policy.batch_size,
            StreamEnds(
                borrow_after_s=self.borrow_after_s, window_rows=self.policy.window_steps * self.policy.batch_size
            ),
            encode=lambda row: EncodedRow((1,), 1, False),
            say=lambda _: None,
            clock=lambda: self.now,
        )
        stream.open({})
        shares: list[RankBatch] = []
        window: list[StepLogged] = []
        while len(shares) < steps:
            share = stream.next_batch(lambda: self.now > within_s)
            if isinstance(share, str):
                break
            shares.append(share)
            self.now += 0.1
            step = StepLogged(
                step=len(shares),
                loss=1.0,
                loss_variance=0.0,
                grad_norm=1.0,
                learning_rate=0.1,
                tokens=1,
                seconds=0.1,
                rows=tuple(each.row for each in share.batch),
            )
            window.append(step)
            if len(window) == self.policy.window_steps:
                number = len(shares) // self.policy.window_steps
                logged = TrainingLogged(window=number, epoch=1, model="m", steps=tuple(window))
                self.log.send(logged, key="w", id=ids.window_id(1, number))
                window = []
        stream.close()
        return shares


def evenly(number: int) -> int:
    return number % 16


def never_the_last(number: int) -> int:
    return number % 15


def always_one(number: int) -> int:
    return 3


def in_bursts(number: int) -> int:
    return number // 500 % 16


def by_chance(number: int) -> int:
    return random.Random(number).randrange(16)


def mostly_one(number: int) -> int:
    return 0 if random.Random(number).random() < 0.8 else random.Random(-number).randrange(16)


DEALT = (evenly, never_the_last, always_one, in_bursts, by_chance, mostly_one)


@pytest.mark.parametrize("dealt", DEALT)
def test_by_default_generator_and_trainer_go_on_whatever_clusters_the_rows_fall_into(
    dealt: Callable[[int], int],
) -> None:
    loop = Loop(Limits().with_training_limit(POLICY, AHEAD_WINDOWS), dealt)
    steps = 300
    shares = loop.train(steps, within_s=2 * steps)
    assert len(shares) == steps
    # Rows of a generation that was trained in part are not seen to be ahead.
    assert loop.most_ahead <= AHEAD_WINDOWS * WINDOW + 3 * OF_EACH
    assert loop.now < 1.0 * steps, "and nobody waited for a borrowed row as long as for a lost one"
    borrowed = sum(each.row.is_borrowed(POLICY.clusters) for share in shares for each in share.batch)
    assert (borrowed > 0) is (dealt is not evenly)


@pytest.mark.parametrize("dealt", DEALT)
def test_a_bound_of_one_window_is_the_least_that_goes_on_and_then_patience_is_needed(
    dealt: Callable[[int], int],
) -> None:
    loop = Loop(Limits(max_ahead=WINDOW), dealt)
    assert len(loop.train(100, within_s=100 * (BORROW_AFTER_S + 1))) == 100
    stuck = Loop(Limits(max_ahead=WINDOW - OF_EACH - POLICY.batch_size), always_one)
    assert len(stuck.train(100, within_s=10_000)) < 100, "which is why less is refused"


def test_who_trains_strictly_and_holds_the_generator_is_told_what_it_waits_for() -> None:
    loop = Loop(Limits(max_ahead=320), never_the_last, borrow_after_s=None)
    assert loop.train(1, within_s=200) == []
    assert loop.messages[0] == "Waiting for training: 324 kept rows ahead of it, at most 320."
    assert all(
        "No training window was ever logged: is a trainer at work? `--max-ahead none` goes on" in sentence
        for sentence in loop.messages[1:]
    )
    assert len(loop.messages) == 1 + (200 - FIRST_S) // EVERY_S
    assert loop.backpressure.waited_s["trainer"] == pytest.approx(200, abs=20)


def test_rows_that_the_trainer_passes_over_hold_nobody_once_it_has_passed_them() -> None:
    loop = Loop(Limits(max_ahead=320), evenly, passes=lambda number: number // 16 % 3 > 0)
    assert len(loop.train(200, within_s=200)) == 200
    assert len(loop.rows) >= 200 * POLICY.batch_size * 1.5, "a third was passed over"


def test_one_empty_cluster_does_not_open_the_loop() -> None:
    loop = Loop(Limits(max_ahead=320), never_the_last, borrow_after_s=None)
    for _ in range(100):
        loop.generate()
    assert 320 < len(loop.rows) <= 320 + OF_EACH


def test_a_wait_that_ended_is_not_told_of_and_the_next_one_is_told_after_a_while() -> None:
    messages: list[str] = []
    clock = iter([0.0, 9.0, 9.5, 20.0, 29.0, 30.0, 31.0, 91.0, 200.0])
    backpressure = Backpressure(messages.append, lambda: next(clock))
    limits, progress = Limits(max_ahead=160), LaneProgress("main", configured())
    for behind in ("trainer", "trainer", None, "filter", "filter"):
        backpressure.update(behind, limits, progress, 200)  # type: ignore[arg-type]
    assert messages == []
    backpressure.update("filter", limits, progress, 200)
    assert messages == [
        "Waiting for the filter: 0 generations are not decided yet; is a worker (`sedi worker`) at work?"
    ]
    for _ in range(2):
        backpressure.update("filter", limits, progress, 200)
    assert len(messages) == 2
    assert backpressure.waited_s == {"trainer": 9.5, "filter": 71.0}


def test_a_trainer_that_fell_silent_is_asked_for_with_the_seconds_since_its_last_window() -> None:
    progress = LaneProgress("main", configured())
    progress.windows.add((1, 0))
    message = Limits(max_ahead=160).waiting_message("trainer", progress, 200, 75.0)
    assert message is not None and "No training window came for 75 s: is a trainer at work?" in message
    assert "--min-score" in message


def test_rows_whose_answer_is_not_used_are_not_waited_for() -> None:
    rows = [tiny.kept(number, number % 2) for number in range(8)]
    backlog = TrainerBacklog()
    backlog.leave_out(rows[6])  # its answer may be read before it
    for row in rows:
        backlog.keep(row)
    backlog.leave_out(rows[1])
    backlog.leave_out(rows[1])
    assert backlog.count({}) == 6
    assert backlog.count({0: 2, 1: 1}) == 4  # 3, 4, 5 and 7
    backlog.leave_out(rows[1])  # once more, behind the trainer
    backlog.leave_out(rows[4])
    assert backlog.count({0: 2, 1: 3}) == 2
