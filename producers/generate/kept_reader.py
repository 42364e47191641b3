"""Which kept instructions a generation's prompt shows, for a style that shows some; read from the log.

A generation begun by a generator that died shows the same ones again: its first `CallStarted` records them. The texts
of all kept instructions are held in memory. They are read at the start, and only for such a style.
"""

import threading

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from schemas.events import CallStarted, InstructionsGenerated, InstructionsRejected, KeptShown, RunConfigured
from streams.core.kept_so_far import KeptSoFar, ShownRows

TOPICS = ("generated", "rejected", "calls")


class KeptChoice:
    """The kept instructions of each generation of a lane: a fold of three topics, which may interleave in any order."""

    def __init__(self, configured: RunConfigured, lane: str) -> None:
        self._policy = configured.policy
        self._lane = lane
        self._kept = KeptSoFar()
        self._begun: dict[int, KeptShown | None] = {}
        self._next_number = 0

    def apply(self, record: Record) -> None:
        """Apply one record."""
        match record.event:
            case InstructionsGenerated() as event:
                self._kept.generated(record.offset, record.id, event)
                if event.lane == self._lane:
                    self._next_number = max(self._next_number, event.number + 1)
                    self._begun.pop(event.number, None)
            case InstructionsRejected() as event:
                self._kept.rejected(event)
            case CallStarted(step=0) as event if event.lane == self._lane and event.number >= self._next_number:
                self._begun.setdefault(event.number, event.kept_shown)
            case _:
                pass

    def shown(self, number: int) -> ShownRows:
        """Those of the number-th generation: as recorded when it began, else drawn from all kept now."""
        if number in self._begun:
            recorded = self._begun[number]
            return ShownRows() if recorded is None else self._sample(number, recorded.as_of)
        return self._sample(number, None)

    def _sample(self, number: int, as_of: int | None) -> ShownRows:
        policy = self._policy
        return self._kept.shown(policy.seeds_per_request, policy.rng_seed, self._lane, number, as_of)


class KeptReader:
    """Keeps a `KeptChoice` up to date. Thread-safe."""

    def __init__(self, settings: Settings, configured: RunConfigured, lane: str) -> None:
        self._choice = KeptChoice(configured, lane)
        self._reader = LogReader(settings, configured.run, TOPICS, f"generator-{lane}-shown")
        self._lock = threading.Lock()

    def shown(self, number: int) -> ShownRows:
        """The kept instructions that the number-th generation of the lane shows, as of the end of the log now."""
        with self._lock:
            for record in self._reader.read_to_end():
                self._choice.apply(record)
            return self._choice.shown(number)

    def close(self) -> None:
        self._reader.close()
