"""The kept instructions that each generation of a lane shows: a fold of three topics, in any order of these.

A generation begun by a generator that died shows the same ones again: its first `CallStarted` records them.
"""

from infra.log.record import Record
from schemas.events import CallStarted, InstructionsGenerated, InstructionsRejected, KeptShown, RunConfigured
from streams.core.kept_so_far import KeptSoFar, ShownRows


class KeptChoice:
    """The state. It holds the texts of all kept instructions."""

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
