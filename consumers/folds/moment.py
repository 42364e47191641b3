"""What a run does at this moment: how old its oldest open call is, and the last kept and rejected rows.

A part of the fold of a run. It holds the open calls, and the instructions of the last undecided generations, so that a
rejected row is shown with its words: its verdict names only its place. Topics may be read in any order against each
other. Pure: ages come from timestamps of records and the time that is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from schemas.events import (
    CallAnswered,
    CallFailed,
    CallStarted,
    Event,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
)

_GENERATIONS = 256
_WORDS = 300  # characters of an instruction


class LastRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was decided; `instruction` is its beginning, None when its generation was not read.

    reason    why it was rejected; None: it was kept
    nearest   the row that a `similar` one resembles
    """

    id: str
    instruction: str | None
    cluster: int | None = None
    reason: str | None = None
    similarity: float | None = None
    nearest: str | None = None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The run at one moment.

    oldest_call_s   seconds since the oldest call without an outcome was started, also by a generator that has died
                    since; None without one
    """

    oldest_call_s: float | None
    last_kept: LastRow | None
    last_rejected: LastRow | None


@dataclass
class MomentFold:
    """The state. `apply` every event that is no repeat.

    open_calls   attempt and time of the start of the last attempt of each open request, oldest first
    texts        instructions of undecided generations, by their offset on `generated`
    kept, rejected   the last rows with their order in the run: offset and place
    """

    open_calls: dict[str, tuple[int, int]] = field(default_factory=dict)
    texts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    kept: tuple[tuple[int, int], LastRow] | None = None
    rejected: tuple[tuple[int, int], LastRow] | None = None
    decided: int = -1

    def apply(self, event: Event, offset: int, timestamp_ms: int) -> None:
        """Take an event into account, with its place on its topic and its time."""
        match event:
            case CallStarted():
                self.open_calls.pop(event.request_id, None)
                self.open_calls[event.request_id] = event.attempt, timestamp_ms
            case CallAnswered():
                self.open_calls.pop(event.request_id, None)
            case CallFailed():
                if self.open_calls.get(event.request_id, (None, 0))[0] == event.attempt:
                    del self.open_calls[event.request_id]
            case InstructionsGenerated():
                self._generated(event, offset)
            case InstructionKept():
                order = event.generated_offset, event.place
                if self.kept is None or order > self.kept[0]:
                    text = event.instruction[:_WORDS]
                    self.kept = order, LastRow(id=event.id, instruction=text, cluster=event.cluster)
            case InstructionsRejected():
                self._decided(event)
            case _:
                pass

    def at(self, now_ms: int) -> Moment:
        """The run at a time."""
        oldest = min((started for _, started in self.open_calls.values()), default=None)
        return Moment(
            oldest_call_s=None if oldest is None else max(0.0, (now_ms - oldest) / 1000),
            last_kept=None if self.kept is None else self.kept[1],
            last_rejected=None if self.rejected is None else self.rejected[1],
        )

    def _generated(self, event: InstructionsGenerated, offset: int) -> None:
        texts = tuple(instruction.instruction[:_WORDS] for instruction in event.instructions)
        if offset > self.decided:
            self.texts[offset] = texts
            if len(self.texts) > _GENERATIONS:
                del self.texts[next(iter(self.texts))]
        elif self.rejected is not None and self.rejected[0][0] == offset:
            order, row = self.rejected
            self.rejected = order, msgspec.structs.replace(row, instruction=_at(texts, order[1]))

    def _decided(self, event: InstructionsRejected) -> None:
        offset = event.generated_offset
        self.decided = max(self.decided, offset)
        if event.rejections:
            last = event.rejections[-1]
            row = LastRow(
                id=last.id,
                instruction=_at(self.texts.get(offset, ()), last.place),
                reason=last.reason,
                similarity=last.similarity,
                nearest=last.nearest_id,
            )
            self.rejected = (offset, last.place), row
        for decided in list(self._until(offset)):
            del self.texts[decided]

    def _until(self, offset: int) -> Iterator[int]:
        for each in self.texts:
            if each > offset:
                return
            yield each


def _at(texts: tuple[str, ...], place: int) -> str | None:
    return texts[place] if place < len(texts) else None
