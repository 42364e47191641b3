"""Which kept instructions a generation's prompt shows, for a style that shows some; read from the log.

Only such a style reads them, at its start: from a snapshot on, where there is one (`infra.snapshots`).
"""

import threading
from collections.abc import Callable

from infra.settings import Settings
from infra.snapshots.following import LogFollower, StateForm, reading_back
from infra.snapshots.own_data import to_bytes
from producers.generate.kept_choice import KeptChoice
from producers.generate.progress_reader import lane_snapshot
from schemas.events import RunConfigured
from streams.core.kept_so_far import ShownRows

TOPICS = ("generated", "rejected", "calls")


class KeptReader:
    """Keeps a `KeptChoice` up to date. Thread-safe."""

    def __init__(
        self, settings: Settings, configured: RunConfigured, lane: str, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        file = lane_snapshot(settings, configured, lane, "shown", "producers/generate/kept_choice.py")
        file.notify = notify
        form = kept_form(configured, lane)
        self._log = LogFollower(settings, configured.run, TOPICS, f"generator-{lane}-shown", form, file)
        self._log.keep()
        self._lock = threading.Lock()

    def shown(self, number: int) -> ShownRows:
        """The kept instructions that the number-th generation of the lane shows, as of the end of the log now."""
        with self._lock:
            return self._log.refresh().shown(number)

    def close(self) -> None:
        self._log.keep(last=True)
        self._log.close()


def kept_form(configured: RunConfigured, lane: str) -> StateForm[KeptChoice]:
    """How the choice is made."""
    return StateForm(
        begin=lambda: KeptChoice(configured, lane),
        apply=KeptChoice.apply,
        to_bytes=to_bytes,
        from_bytes=reading_back(KeptChoice, "producers.generate.kept_choice"),
    )
