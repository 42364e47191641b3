"""The inspector: checks the topics that no agent reads, and puts unreadable records on the dead-letter topics.

The agents do that for `generated`, `training-log` and `seed-commands`. The inspector reads `run`, `calls`, `kept`,
`rejected` and, if they exist when this starts, `documents`, `answered`, `judged` and the topics of evaluations. It
continues from the committed offsets of its own consumer group, which are committed after the dead letters before them
are confirmed. So every record is checked at least once as long as some worker runs. After a crash, or by two workers at
once, a dead letter may be written twice. If the cluster drops the group's offsets (it may after a week without a
worker), everything is checked again.

It works in threads, with clients of its own, while the filter is active, and pauses twice as long as it worked, so that
the filter keeps its share of the CPU. It may lag behind, and nothing waits for it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import faust

from infra.log.reader import LogReader
from infra.log.writer import LogWriter
from infra.settings import Settings

TOPICS = ("run", "documents", "calls", "kept", "rejected", "answered", "judged", "measured", "answers", "judgements")

_RECORDS = 500
_WAIT_S = 0.2
_IDLE_S = 1.0

logger = logging.getLogger(__name__)


def inspector_group(run: str) -> str:
    """The consumer group whose committed offsets are the inspector's position."""
    return f"sedi.{run}.inspector"


class Inspector:
    """`step` and `close` may be called from any thread."""

    def __init__(self, settings: Settings, run: str) -> None:
        self._settings = settings
        self._run = run
        self._lock = threading.Lock()
        self._reader: LogReader | None = None
        self._writer: LogWriter | None = None

    def step(self) -> int:
        """Check the next records, at most some hundred. Returns how many there were.

        Raises BrokerError when the cluster does not answer.
        """
        with self._lock:
            if self._reader is None:
                self._reader = LogReader(self._settings, self._run, TOPICS, "inspector", inspector_group(self._run))
            records = self._reader.poll(_WAIT_S, _RECORDS)
            for record in records:
                if record.error is not None:
                    logger.warning("%r goes to the dead letters: %s", record, record.error)
                    self._dead_letters().dead_letter(record)
            if records:
                self._reader.commit()
            return len(records)

    def close(self) -> None:
        """Close the clients. The next step starts from the committed offsets, which another worker may have moved."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            if self._writer is not None:
                self._writer.close()
            self._reader = self._writer = None

    def _dead_letters(self) -> LogWriter:
        if self._writer is None:
            self._writer = LogWriter(self._settings, self._run, "inspector")
        return self._writer


def inspect_beside(app: faust.App, inspector: Inspector, active: Callable[[], bool]) -> None:
    """Run the inspector beside the app's agents, while `active` says that this worker is the active one."""

    @app.task  # type: ignore[untyped-decorator]
    async def inspect() -> None:
        pause = _IDLE_S
        while not app.should_stop:
            await app.sleep(pause)
            began = time.monotonic()
            found = 0
            try:
                if active():
                    found = await asyncio.to_thread(inspector.step)
                else:
                    await asyncio.to_thread(inspector.close)
            except Exception as error:  # noqa: BLE001 - not a record's fault: stop without a commit
                logger.error("inspecting failed: %r", error)
                await app.crash(error)
                return
            pause = 2 * (time.monotonic() - began) if found else _IDLE_S

    @app.on_before_shutdown.connect  # type: ignore[arg-type]
    async def close(app: faust.App, **_: object) -> None:
        await asyncio.to_thread(inspector.close)
