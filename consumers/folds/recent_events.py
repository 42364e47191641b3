"""Events of the last minute, for rates: part of the fold of a run, so that a reading that goes on has them.

Of each kind those are held that are at most a minute older than its newest one. So neither the order of the topics
matters, nor does one machine's clock that is ahead hide what others wrote.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas import events

RATE_S = 60.0


@dataclass
class RecentEvents:
    """The state: (timestamp_ms, number) of what is held, and the newest timestamp, by kind."""

    _held: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _newest: dict[str, int] = field(default_factory=dict)
    _keeps: dict[str, int] = field(default_factory=dict)

    def apply(self, event: events.Event, timestamp_ms: int) -> None:
        """Count an event that is no repeat."""
        for kind, number in _counted(event):
            newest = self._newest[kind] = max(timestamp_ms, self._newest.get(kind, timestamp_ms))
            since = newest - RATE_S * 1000
            if timestamp_ms <= since:
                continue
            held = self._held.setdefault(kind, [])
            held.append((timestamp_ms, number))
            if len(held) > 2 * self._keeps.get(kind, 500):
                held[:] = [one for one in held if one[0] > since]
                self._keeps[kind] = max(500, len(held))

    def per_second(self, kind: str, now_ms: int, first_ms: int | None) -> float:
        """The rate of a kind over the last minute before `now_ms`, or since `first_ms` if that is shorter."""
        since = now_ms - int(RATE_S * 1000)
        number = sum(number for at, number in self._held.get(kind, ()) if since < at <= now_ms)
        span = RATE_S if first_ms is None else min(RATE_S, max(1.0, (now_ms - first_ms) / 1000))
        return number / span


def _counted(event: events.Event) -> Iterator[tuple[str, int]]:
    match event:
        case events.CallAnswered():
            yield "calls", 1
        case events.InstructionsGenerated():
            yield "generations", 1
            yield "generated", len(event.instructions)
        case events.InstructionKept():
            yield "kept", 1
        case events.InstructionsRejected():
            yield "rejected", len(event.rejections)
        case events.TrainingLogged():
            yield "steps", len(event.steps)
        case _:
            pass
