"""The rows of `answered`, for the feedback of a run that answers kept instructions alone.

A row in a training window has its answer on the log: the trainer read it there. So the answers are read when a window
comes, to the end of the log, and held in memory. They have no table: a new worker reads all of `answered`.
"""

import asyncio

from infra.settings import Settings
from schemas.events import InstructionKept, TrainingLogged
from streams.core.answering import usable_row
from streams.worker.optional_topic import OptionalTopic


class AnsweredReader:
    """Reads `answered` directly from the log; a run may lack that topic, and get it later.

    rows   that are used, by id, as far as they were read
    """

    def __init__(self, settings: Settings, run: str) -> None:
        self.rows: dict[str, InstructionKept] = {}
        self._lock = asyncio.Lock()
        self._topic = OptionalTopic(settings, run, "answered", "worker-answered")

    async def read_for(self, window: TrainingLogged) -> None:
        """Read on, off the event loop, unless all rows of the window are known. Raises BrokerError."""
        async with self._lock:
            if any(row.id not in self.rows for step in window.steps for row in step.rows):
                await asyncio.to_thread(self._read_on)

    def close(self) -> None:
        self._topic.close()

    def _read_on(self) -> None:
        reader = self._topic.reader()
        for record in () if reader is None else reader.read_to_end():
            row = usable_row(record.event)
            if row is not None:
                self.rows.setdefault(row.id, row)
