"""What a generator lane knows of its run: a fold over five of the run's topics.

All state comes from the log, so a generator that was killed and starts again knows what it knew before: which number
comes next, which calls of unfinished generations are already answered (and are not paid again), and which seeds those
generations show.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

from infra.log.record import Record
from producers.generate.yield_window import YieldWindow
from schemas import ids
from schemas.batches import BatchEnded, BatchPrepared, BatchSubmitted, BatchUploaded
from schemas.errors import ConfigurationError
from schemas.events import (
    CallAnswered,
    CallFailed,
    CallStarted,
    InstructionsGenerated,
    InstructionsRejected,
    ReplaceSeeds,
    RunConfigured,
    Steering,
    TrainingLogged,
)
from schemas.seeds import SeedTask
from streams.core.batch_ledger import BatchLedger
from streams.core.lanes import LaneNumbers
from streams.core.ledger import Ledger
from streams.core.seeds import SeedPool

TOPICS = ("generated", "calls", "seed-commands", "rejected", "training-log")

YIELD_WINDOW = 200


@dataclass(kw_only=True)
class ProgressState:
    """The fold of all topics but `seed-commands`, as plain data for a snapshot.

    ledger              of the whole run
    batches             of the whole run: calls that are asked many at once
    rolling             the yield of the last decided generations
    next_number         the number after the lane's last on `generated`
    style               of the lane's last generation, None before the first
    segment             (documents_offset, number) of the lane's last generation about one, None before the first
    generations         on `generated`, of all lanes, each counted once
    candidates          instructions in them
    generated_end       offset of the next record of `generated`
    decided_offset      last record of `generated` that the filter has decided, -1 for none
    kept_total          instructions kept in the run up to there
    windows             (epoch, window) of those of epoch 1 in the training log
    trained             rows in them, by the cluster they came from
    trained_to          the `generated` offset of the last of them, by cluster
    lanes               the generation numbers of all lanes
    answers             answered calls of the lane's unfinished generations, by request id
    request_numbers, request_attempts   of the same generations, by request id
    causes              the event that fixed the seeds of each of these generations, by number
    steerings           what the requests of these generations follow, by number; only where they follow something
    """

    ledger: Ledger = field(default_factory=Ledger)
    batches: BatchLedger = field(default_factory=BatchLedger)
    rolling: YieldWindow = field(default_factory=lambda: YieldWindow(YIELD_WINDOW))
    next_number: int = 0
    style: str | None = None
    segment: tuple[int, int] | None = None
    generations: int = 0
    candidates: int = 0
    generated_end: int = 0
    decided_offset: int = -1
    kept_total: int = 0
    windows: set[tuple[int, int]] = field(default_factory=set)
    trained: dict[int, int] = field(default_factory=dict)
    trained_to: dict[int, int] = field(default_factory=dict)
    lanes: LaneNumbers = field(default_factory=LaneNumbers)
    answers: dict[str, CallAnswered] = field(default_factory=dict)
    request_numbers: dict[str, int] = field(default_factory=dict)
    request_attempts: dict[str, int] = field(default_factory=dict)
    causes: dict[int, str | None] = field(default_factory=dict)
    steerings: dict[int, Steering] = field(default_factory=dict)


@dataclass
class LaneProgress(ProgressState):
    """The state of the whole fold; `pool`: the seeds in force."""

    lane: str
    configured: RunConfigured
    pool: SeedPool = field(init=False)
    _commands: list[tuple[int, str, ReplaceSeeds]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = SeedPool.of(self.configured.seeds)

    def state(self) -> ProgressState:
        """All but the seeds. It shares mutable values with this object: encode it before the next `apply`."""
        return ProgressState(**{each.name: getattr(self, each.name) for each in fields(ProgressState)})

    @classmethod
    def of(cls, lane: str, configured: RunConfigured, state: ProgressState) -> "LaneProgress":
        """Continue from a state, whose values are taken over. `seed-commands` must be applied from its start."""
        return cls(lane, configured, **vars(state))

    def apply(self, record: Record) -> None:
        """Apply one record. Records must come in log order within each topic; repeats have no effect."""
        event = record.event
        match event:
            case CallStarted() | CallAnswered() | CallFailed():
                if self.ledger.apply(event, record.id):
                    self.batches.apply(event)
                    self._call(event, None if record.decoded is None else record.decoded.meta.causation_id)
            case BatchPrepared() | BatchUploaded() | BatchSubmitted() | BatchEnded():
                self.batches.apply(event)
            case InstructionsGenerated():
                self.generated_end = max(self.generated_end, record.offset + 1)
                self._generated(event, record.offset)
            case InstructionsRejected() if event.generated_offset > self.decided_offset:
                self.decided_offset = event.generated_offset
                self.kept_total = event.kept_total
                self.rolling.decide(event)
            case ReplaceSeeds() if self.pool.apply(event, record.offset):
                self._commands.append((record.offset, record.id, event))
            case TrainingLogged() if event.epoch == 1 and (event.epoch, event.window) not in self.windows:
                self.windows.add((event.epoch, event.window))
                for row in (row for step in event.steps for row in step.rows):
                    self.trained[row.cluster] = self.trained.get(row.cluster, 0) + 1
                    self.trained_to[row.cluster] = max(self.trained_to.get(row.cluster, -1), row.generated_offset)
            case None if record.topic == "generated":
                self.generated_end = max(self.generated_end, record.offset + 1)
            case _:
                pass

    @property
    def filter_lag(self) -> int:
        """Generations on the log that the filter has not decided."""
        return self.generated_end - 1 - self.decided_offset

    @property
    def window_count(self) -> int:
        """Windows of epoch 1 in the training log."""
        return len(self.windows)

    @property
    def untrained_at_most(self) -> int:
        """Kept rows that are not in the training log; rows that a trainer skipped count too."""
        return max(0, self.kept_total - sum(self.trained.values()))

    def next_attempt(self, request_id: str) -> int:
        """The number of the next attempt at a request of this lane; the first is 1."""
        return self.request_attempts.get(request_id, 0) + 1

    def attempts(self) -> dict[str, int]:
        """Attempts on the ledger at each request of the lane's unfinished generations."""
        return dict(self.request_attempts)

    def seeds_of(
        self, number: int, choose: Callable[[SeedPool], tuple[SeedTask, ...]] | None = None
    ) -> tuple[tuple[SeedTask, ...], int, str]:
        """The seeds that a generation of this lane shows, their `seed-commands` offset, and the id of that command.

        choose   those of a pool that it shows; None: a uniform sample
        A generation begun by a generator that died shows the same seeds again. Raises ConfigurationError if it was
        begun about a segment.
        """
        # A duplicate of a command, which two workers may write, changes no pool and is no cause.
        latest = offset = self._commands[-1][0] if self._commands else -1
        begun_by = self.causes.get(number)
        if number in self.causes:
            offset = next((at for at, id, _ in self._commands if id == begun_by), -1)
        if offset == -1 and begun_by not in (None, ids.run_id(self.configured.run)):
            raise ConfigurationError(
                f"Generation {number} of lane {self.lane!r} was begun about something else than seeds. Finish it with "
                "`--producer goliath`, or give this generator its own --lane."
            )
        pool = self.pool
        if offset != latest:
            pool = SeedPool.of(self.configured.seeds)
            for at, _, command in self._commands:
                if at <= offset:
                    pool.apply(command, at)
        policy = self.configured.policy
        if choose is None:
            seeds = pool.sample(policy.seeds_per_request, policy.rng_seed, self.lane, number)
        else:
            seeds = choose(pool)
        cause = next((id for at, id, _ in self._commands if at == offset), ids.run_id(self.configured.run))
        return seeds, offset, cause

    def unfinished(self) -> int:
        """Generations of this lane that were begun and are not on `generated`."""
        return len(self.causes)

    @property
    def begun_end(self) -> int:
        """The number after the last of this lane that was begun."""
        return max(self.causes, default=self.next_number - 1) + 1

    def begun_elsewhere(self) -> int:
        """Generations of other lanes that were begun and are not on `generated`.

        Lanes without any generation there are left out: a judge's lane never writes one.
        """
        lanes = self.ledger.lanes
        return sum(
            max(0, lanes[lane].newest - last)
            for lane, last in self.lanes.last.items()
            if lane != self.lane and lane in lanes
        )

    def _call(self, event: CallStarted | CallAnswered | CallFailed, causation_id: str | None) -> None:
        match event:
            case CallStarted() if event.lane == self.lane and event.number >= self.next_number:
                self.request_numbers[event.request_id] = event.number
                self.request_attempts[event.request_id] = max(
                    event.attempt, self.request_attempts.get(event.request_id, 0)
                )
                if event.step == 0:
                    # The first call of a generation fixes its seeds.
                    if event.number not in self.causes and event.steering is not None:
                        self.steerings[event.number] = event.steering
                    self.causes.setdefault(event.number, causation_id)
            case CallAnswered() if event.request_id in self.request_numbers:
                self.answers.setdefault(event.request_id, event)
            case _:
                pass

    def _generated(self, event: InstructionsGenerated, offset: int) -> None:
        if not self.lanes.take(event.lane, event.number):
            return
        self.generations += 1
        self.candidates += len(event.instructions)
        self.rolling.generate(event, offset)
        if event.lane != self.lane or event.number < self.next_number:  # one that fills a gap, long past
            return
        self.next_number = event.number + 1
        self.style = event.style
        if event.segment is not None:
            self.segment = event.segment.documents_offset, event.segment.number
        for request_id in [id for id, number in self.request_numbers.items() if number <= event.number]:
            del self.request_numbers[request_id]
            self.request_attempts.pop(request_id, None)
            self.answers.pop(request_id, None)
        for number in [number for number in self.causes if number <= event.number]:
            del self.causes[number]
            self.steerings.pop(number, None)
