"""How many kept rows wait for their answer, in a run that answers kept instructions alone.

Every kept row gets one record on `answered`, so the ends of its partitions are enough. A record that a crash wrote
twice counts twice: then a few more rows wait than is counted.
"""

from infra.log.reader import LogReader
from infra.settings import Settings


class AnswerBacklogReader:
    """Counts the rows; one thread at a time. It connects on the first `count`."""

    def __init__(self, settings: Settings, run: str, lane: str) -> None:
        self._settings = settings
        self._run = run
        self._component = f"generator-{lane}-unanswered"
        self._reader: LogReader | None = None

    def count(self, kept_total: int) -> int:
        """Rows without an answer, of so many that are kept."""
        if self._reader is None:
            self._reader = LogReader(self._settings, self._run, ["answered"], self._component)
        return max(0, kept_total - sum(self._reader.ends().values()))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
