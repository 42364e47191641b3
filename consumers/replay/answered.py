"""`answered` as an audit reads it: as far as training windows need it, then to its end."""

from collections.abc import Mapping, Sequence

from consumers.replay.effect_stream import EffectStream
from schemas.events import InstructionAnswered, InstructionKept, TrainingLogged
from streams.core.answering import answered_rows, usable_row


class AnsweredSoFar:
    """Follows all partitions of `answered`, each in order; it may be ahead of the filter's decisions."""

    def __init__(self, streams: Sequence[EffectStream]) -> None:
        self._streams = streams
        self._rows: dict[str, InstructionKept] = {}
        self._unused: dict[str, str] = {}

    def rows_of(self, window: TrainingLogged, kept: Mapping[str, InstructionKept]) -> Mapping[str, InstructionKept]:
        """The window's rows that are kept, with their answers."""
        for row in (row for step in window.steps for row in step.rows):
            self.read_to(row.id, row.cluster)
        return answered_rows(window, kept, self._rows)

    def read_to(self, id: str, cluster: int) -> bool:
        """Whether a row has an answer on the log that is used. It is looked for in its own cluster first."""
        own = [stream for stream in self._streams if stream.partition == cluster]
        for stream in (*own, *self._streams):
            while id not in self._rows and id not in self._unused and self._read(stream):
                pass
        return id in self._rows

    def used(self, id: str) -> bool:
        """Whether a row is used, as far as `answered` was read."""
        return id in self._rows

    def unused(self, id: str) -> str | None:
        """Why a row is not used, as far as `answered` was read; None for one that is, or has no answer yet."""
        return self._unused.get(id)

    def finish(self) -> None:
        """Read what is left. After it nothing is known of rows."""
        for stream in self._streams:
            while stream.take() is not None:
                pass
        self._rows.clear()

    def _read(self, stream: EffectStream) -> bool:
        record = stream.take()
        if record is None:
            return False
        event, row = record.event, usable_row(record.event)
        if row is not None and row.id not in self._unused:  # the first event of a row counts
            self._rows.setdefault(row.id, row)
        elif isinstance(event, InstructionAnswered) and event.row.id not in self._rows:
            self._unused.setdefault(event.row.id, str(event.reason))
        return True
