"""Which kept instructions a generation is shown, for a style that shows some: read from the log, as everything else is.

A generation begun by a generator that died is shown what it was shown then: its first call's `CallStarted` tells of
it. The texts of all kept instructions are held in memory; they are read at the start, and only for such a style.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from infra.log.reader import LogReader
from infra.log.record import Record
from infra.settings import Settings
from producers.generate.styles import Style
from schemas.events import CallStarted, InstructionsGenerated, InstructionsRejected, KeptShown, RunConfigured
from streams.core.kept_so_far import KeptSoFar, ShownRows

TOPICS = ("generated", "rejected", "calls")


class KeptChoice:
    """What each generation of a lane is shown beside its seeds: a fold of three topics, in any order among them."""

    def __init__(self, configured: RunConfigured, lane: str) -> None:
        self._policy = configured.policy
        self._lane = lane
        self._kept = KeptSoFar()
        self._begun: dict[int, KeptShown | None] = {}
        self._next_number = 0

    def apply(self, record: Record) -> None:
        """Take one record into account."""
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
        """What the number-th generation is shown: what it was shown when it was begun, else drawn from all kept now."""
        if number in self._begun:
            told = self._begun[number]
            return ShownRows() if told is None else self._drawn(number, told.as_of)
        return self._drawn(number, None)

    def _drawn(self, number: int, as_of: int | None) -> ShownRows:
        policy = self._policy
        return self._kept.shown(policy.seeds_per_request, policy.rng_seed, self._lane, number, as_of)


class KeptReader:
    """Keeps a `KeptChoice` up to date; may be asked by several threads."""

    def __init__(self, settings: Settings, configured: RunConfigured, lane: str) -> None:
        self._choice = KeptChoice(configured, lane)
        self._reader = LogReader(settings, configured.run, TOPICS, f"generator-{lane}-shown")
        self._lock = threading.Lock()

    def shown(self, number: int) -> ShownRows:
        """What the number-th generation of the lane is shown, as of all that is on the log now."""
        with self._lock:
            for record in self._reader.read_to_end():
                self._choice.apply(record)
            return self._choice.shown(number)

    def close(self) -> None:
        self._reader.close()


@contextmanager
def opened_kept(settings: Settings, configured: RunConfigured, lane: str, style: Style) -> Iterator[KeptReader | None]:
    """A reader for a style that shows kept instructions; None for one that does not."""
    if not style.shows_kept:
        yield None
        return
    reader = KeptReader(settings, configured, lane)
    try:
        yield reader
    finally:
        reader.close()
