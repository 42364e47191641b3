"""The answers that an audit decides feedback again from: `answered`, read as far as training windows need it."""

from collections.abc import Callable, Mapping, Sequence

from consumers.replay.effect_stream import EffectStream
from infra.log.record import Record
from schemas.events import InstructionKept, TrainingLogged
from streams.core.answering import answered_rows, usable_row


class AnsweredSoFar:
    """Follows all partitions of `answered`. `on_record` gets every record, each partition in order; it may be ahead of
    the filter's decisions."""

    def __init__(self, streams: Sequence[EffectStream], on_record: Callable[[Record], None] = lambda _: None) -> None:
        self._streams = streams
        self._on_record = on_record
        self._rows: dict[str, InstructionKept] = {}

    def rows_of(self, window: TrainingLogged, kept: Mapping[str, InstructionKept]) -> Mapping[str, InstructionKept]:
        """The window's rows that are kept, with their answers. A row is looked for in its own cluster first."""
        for row in (row for step in window.steps for row in step.rows):
            own = [stream for stream in self._streams if stream.partition == row.cluster]
            for stream in (*own, *self._streams):
                while row.id not in self._rows and self._read(stream):
                    pass
        return answered_rows(window, kept, self._rows)

    def finish(self) -> None:
        """Read what is left."""
        for stream in self._streams:
            while self._read(stream):
                pass

    def _read(self, stream: EffectStream) -> bool:
        record = stream.take()
        if record is None:
            return False
        row = usable_row(record.event)
        if row is not None:
            self._rows.setdefault(row.id, row)
        self._on_record(record)
        return True
