"""A run's log so far: one fold of all its topics, for the report, the status and the seed list.

Records of one partition come in offset order; topics may come in any order against each other. Repeats are dropped by
the rule of each topic (`consumers.folds.deduplicate`) and counted.

The fold is pure: no I/O, no clock. It holds some 200 bytes for each instruction.
"""

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field

from consumers.folds.deduplicate import Deduplicator
from consumers.folds.moment import MomentFold
from consumers.folds.recent_events import RecentEvents
from consumers.folds.spending import SpendingFold
from consumers.folds.verdicts import VerdictFold
from infra.log.record import Record
from schemas import events
from streams.core.batch_ledger import BatchLedger
from streams.core.judging import Judgements
from streams.core.ledger import Ledger
from streams.core.seeds import SeedPool


@dataclass(frozen=True, slots=True)
class EffectiveCommand:
    """A `ReplaceSeeds` that took effect, and its offset on `seed-commands`."""

    offset: int
    timestamp_ms: int
    event: events.ReplaceSeeds


@dataclass(frozen=True, slots=True)
class LoggedWindow:
    """A training window as far as counting needs it.

    steps   how many it has; the values are those of the last one, None where there is none, or they are not finite
    """

    epoch: int
    window: int
    steps: int
    step: int | None
    loss: float | None
    grad_norm: float | None

    @classmethod
    def of(cls, event: events.TrainingLogged) -> "LoggedWindow":
        last = event.steps[-1] if event.steps else None
        values = (None, None, None) if last is None else (last.step, last.loss, last.grad_norm)
        return cls(event.epoch, event.window, len(event.steps), *values)


@dataclass
class RunFold:
    """The state. Begin it with the run's `RunConfigured`, then `apply` every record once.

    batches        calls that are asked many at once
    answered       why each row on `answered` is not used, by its id; None: it is used
    judged         each judge's judgements, by its name
    windows        training windows in order
    spending       what the answers were for
    moment         what the run does at this moment
    recent         events of the last minute
    trained        ids of the rows in a logged batch
    released       ids of the rows that block no similar ones any more
    stopped        when and why the run was stopped; None when it was started since
    halted         when generators halted because going on would only have spent, by CloudEvents id
    dropped        repeats, by topic
    unreadable     records that do not decode, or are on the wrong topic, by topic
    dead_letters   where the records on dead-letter topics came from, by topic
    first_ms, last_ms   timestamps of the oldest and the newest record, None before there is one
    """

    configured: events.RunConfigured
    ledger: Ledger = field(default_factory=Ledger)
    batches: BatchLedger = field(default_factory=BatchLedger)
    classifiers: dict[int, events.ClassifierFitted] = field(default_factory=dict)
    answered: dict[str, str | None] = field(default_factory=dict)
    judged: dict[str, Judgements] = field(default_factory=dict)
    windows: list[LoggedWindow] = field(default_factory=list)
    trained: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    commands: list[EffectiveCommand] = field(default_factory=list)
    stopped: tuple[int, str] | None = None
    halted: dict[str, tuple[int, events.GenerationHalted]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    dead_letters: dict[str, set[tuple[bytes, bytes]]] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None
    moment: MomentFold = field(default_factory=MomentFold)
    recent: RecentEvents = field(default_factory=RecentEvents)
    spending: SpendingFold = field(init=False)
    pool: SeedPool = field(init=False)
    verdicts: VerdictFold = field(init=False)
    _deduplicator: Deduplicator = field(default_factory=Deduplicator, repr=False)

    def __post_init__(self) -> None:
        self.spending = SpendingFold(self.configured.policy)
        self.pool = SeedPool.of(self.configured.seeds)
        self.verdicts = VerdictFold(self.configured.policy, self._deduplicator)

    @property
    def steps(self) -> int:
        """Optimizer steps in the logged windows."""
        return sum(window.steps for window in self.windows)

    @property
    def unparsed(self) -> Counter[str]:
        """Parts of answers that no instruction could be parsed from, by reason."""
        return Counter(reason for generation in self.verdicts.generations.values() for reason in generation.unparsed)

    @property
    def replacements(self) -> int:
        """Seeds that were replaced."""
        return sum(len(command.event.replacements) for command in self.commands)

    def apply(self, record: Record) -> bool:
        """Take a record into account. False for a repeat, or when it cannot be read."""
        if record.topic.endswith(".dlq"):
            return self._dead_letter(record)
        if record.decoded is None:
            self.unreadable[record.topic] += 1
            if record.topic == "generated":
                self.verdicts.unreadable(record.offset)
            return False
        self.first_ms = min(self.first_ms or record.timestamp_ms, record.timestamp_ms)
        self.last_ms = max(self.last_ms or record.timestamp_ms, record.timestamp_ms)
        fresh = self._take(record)
        if fresh:
            self.batches.apply(record.decoded.event)
            self.spending.apply(record.decoded.event, record.decoded.meta.id)
            self.moment.apply(record.decoded.event, record.offset, record.timestamp_ms)
            self.recent.apply(record.decoded.event, record.timestamp_ms)
        else:
            self.dropped[record.topic] += 1
        return fresh

    def _take(self, record: Record) -> bool:
        assert record.decoded is not None
        event, ce_id = record.decoded.event, record.decoded.meta.id
        match event:
            case events.CallStarted() | events.CallAnswered() | events.CallFailed():
                fresh = self.ledger.apply(event, ce_id)
            case events.InstructionsGenerated():
                fresh = self.verdicts.generated(event, ce_id, record.offset)
            case events.InstructionKept():
                fresh = self.verdicts.keep(event, record.partition)
            case events.InstructionsRejected():
                reinstated = self.verdicts.reinstated
                fresh = self.verdicts.reject(event)
                if self.verdicts.reinstated > reinstated:
                    self.dropped -= Counter(generated=1)
            case events.InstructionAnswered() | events.InstructionJudged():
                fresh = self._take_about_row(event)
            case events.TrainingLogged():
                fresh = self._deduplicator.first(event, ce_id)
                if fresh:
                    insort(self.windows, LoggedWindow.of(event), key=lambda window: (window.epoch, window.window))
                    self.trained.update(row.id for step in event.steps for row in step.rows)
            case events.ReplaceSeeds():
                fresh = self.pool.apply(event, record.offset)
                if fresh:
                    self.commands.append(EffectiveCommand(record.offset, record.timestamp_ms, event))
            case _:
                fresh = self._deduplicator.first(event, ce_id)
                if fresh:
                    self._take_run_event(event, ce_id, record.timestamp_ms)
        return fresh

    def _take_about_row(self, event: events.InstructionAnswered | events.InstructionJudged) -> bool:
        if isinstance(event, events.InstructionJudged):
            return self.judged.setdefault(event.judge.name, Judgements()).apply(event)
        fresh = event.row.id not in self.answered
        self.answered.setdefault(event.row.id, event.reason)
        return fresh

    def _take_run_event(self, event: events.Event, ce_id: str, timestamp_ms: int) -> None:
        match event:
            case events.ClassifierFitted():
                self.classifiers[event.from_offset] = event
            case events.InstructionsReleased():
                self.released.update(event.ids)
            case events.RunStarted():
                self.stopped = None
            case events.RunStopped():
                self.stopped = timestamp_ms, event.reason
            case events.GenerationHalted():
                self.halted[ce_id] = timestamp_ms, event
            case _:
                pass

    def _dead_letter(self, record: Record) -> bool:
        """Count where the records came from: a reader that died may have put the same one there again."""
        came_from = dict(record.headers)
        place = (came_from.get("dlq_partition", b"?"), came_from.get("dlq_offset", str(record.offset).encode()))
        places = self.dead_letters.setdefault(record.topic.removesuffix(".dlq"), set())
        fresh = place not in places
        places.add(place)
        return fresh
