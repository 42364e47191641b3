"""What the requests of a lane follow, for a policy that steers them (`streams.core.steering`); read from the log.

`generated`, `rejected` and, where the policy has hints, `kept` are read from their starts, and only for such a policy.
What is held are some numbers for each showing of a seed, and with hints the texts of all kept instructions.

A generation begun by a generator that died asks for the same again: its first `CallStarted` records its steering.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from producers.generate.styles import SteeredRequest
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import InstructionKept, InstructionsGenerated, InstructionsRejected, RunConfigured, Steering
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core.kept_so_far import KeptText
from streams.core.scores import uncounted
from streams.core.seeds import SeedPool
from streams.core.steering import SteeringHistory


class SteeringFold:
    """A fold of three topics into a `SteeringHistory`; they may interleave in any order.

    The history goes up to the last verdict whose generation and kept rows are read too.
    """

    def __init__(self, policy: Policy) -> None:
        self.history = SteeringHistory(policy)
        self._policy = policy
        self._generated: dict[int, tuple[str, int, tuple[str, ...]]] = {}
        self._rows: dict[int, dict[int, InstructionKept]] = {}
        self._verdicts: deque[InstructionsRejected] = deque()
        self._last_verdict = -1

    def apply(self, record: Record) -> None:
        """Apply one record; a repeat changes nothing."""
        match record.event:
            case InstructionsGenerated() as event if record.offset > self.history.as_of:
                is_own = record.id == ids.generation_id(event.lane, event.number)
                self._generated[record.offset] = event.lane, event.number if is_own else -1, event.seed_ids
            case None if record.topic == "generated" and record.offset > self.history.as_of:
                self._generated[record.offset] = "", -1, ()
            case InstructionsRejected() as event if event.generated_offset > self._last_verdict:
                self._last_verdict = event.generated_offset
                self._verdicts.append(event)
            case InstructionKept() as row if self._policy.hints and row.generated_offset > self.history.as_of:
                self._rows.setdefault(row.generated_offset, {}).setdefault(row.place, row)
            case _:
                return
        self._settle()

    def _settle(self) -> None:
        while self._verdicts:
            verdict = self._verdicts[0]
            offset = verdict.generated_offset
            if offset not in self._generated:
                return
            if self._policy.hints and len(self._rows.get(offset, ())) < verdict.kept:
                return
            self._verdicts.popleft()
            lane, number, seed_ids = self._generated.pop(offset)
            rows = sorted(self._rows.pop(offset, {}).values(), key=lambda row: row.place)
            self.history.decide(
                offset,
                lane,
                number if verdict.generation_id else -1,  # the filter could not read it
                seed_ids,
                generated=verdict.generated,
                uncounted=uncounted(self._policy, verdict.rejections),
                kept=verdict.kept,
                rows=[(row.cluster, KeptText(row.id, row.instruction)) for row in rows],
            )


class SteeringReader:
    """Keeps a `SteeringHistory` up to date for a lane. Thread-safe."""

    def __init__(self, settings: Settings, configured: RunConfigured, lane: str) -> None:
        policy = configured.policy
        topics = ("generated", "rejected", *(("kept",) if policy.hints else ()))
        self._fold = SteeringFold(policy)
        self._lane = lane
        self._reader = LogReader(settings, configured.run, topics, f"generator-{lane}-steering")
        self._lock = threading.Lock()

    def steer(
        self, number: int, style: str, parameters: Mapping[str, object], recorded: Steering | None = None
    ) -> tuple[Steering, SteeredRequest]:
        """What the number-th generation of the lane asks for, as of the end of the log now.

        recorded     of a generation that was begun before
        parameters   the style's own
        Raises ConfigurationError if it was begun with others.
        """
        with self._lock:
            for record in self._reader.read_to_end():
                self._fold.apply(record)
            history = self._fold.history
            if recorded is None:
                now = history.steering(style, parameters, self._lane, number, history.as_of)
                return now, steered(now, history.hints(self._lane, number, history.as_of))
            again = history.steering(style, parameters, self._lane, number, recorded.as_of)
            check_resumed(recorded, again, number)
            return recorded, steered(recorded, history.texts_of(recorded.hint_ids))

    def choose(self, pool: SeedPool, number: int, as_of: int) -> tuple[SeedTask, ...]:
        """The seeds of the pool that the number-th generation of the lane shows."""
        with self._lock:
            seeds = [seed.task for seed in pool.active]
            places = self._fold.history.choose([seed.id for seed in seeds], self._lane, number, as_of)
            return tuple(seeds[place] for place in places)

    def close(self) -> None:
        self._reader.close()


def steered(steering: Steering, hints: Sequence[KeptText]) -> SteeredRequest:
    """What a style asks for differently, by what is recorded."""
    return SteeredRequest(steering.temperature, steering.list_length, tuple(row.instruction for row in hints))


def check_resumed(recorded: Steering, now: Steering, number: int) -> None:
    """Check that a generation's own temperature and list length are those it was begun with: its event names them.

    Raises ConfigurationError.
    """
    for name, flag in (("temperature", "--temperature"), ("list_length", "--asked")):
        begun, would = getattr(recorded, name), getattr(now, name)
        if begun != would:
            raise ConfigurationError(
                f"Generation {number} was begun with a {name} of {begun}, and with this {flag} it would be {would}. "
                f"Finish it with the {flag} that it was begun with, or give this generator its own --lane."
            )
