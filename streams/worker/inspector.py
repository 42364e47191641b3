"""The inspector: looks at the topics that no agent reads, and puts what cannot be read there to the dead letters.

The agents do that for what they read: `generated`, `training-log` and `seed-commands`. Here `run`, `calls`, `kept`,
`rejected` and, if it was there when this began, `judged` are read from where the last inspector was, which is
remembered as committed offsets of a group of its own, after the dead letters of what lies below are confirmed. So every
record there is looked at at least once as long as some worker runs, whoever else reads those topics; after a crash, or
by two workers at once, a dead letter may be written twice. Should the cluster forget the group (it may after a week
without a worker), all is looked at again.

It works in threads, with clients of its own, while the filter is active, and rests twice as long as it worked, so that
the filter keeps its share of the processor: it may be behind for a while, and never holds anything up.
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

TOPICS = ("run", "calls", "kept", "rejected", "judged")

_RECORDS = 500
_WAIT_S = 0.2
_IDLE_S = 1.0

logger = logging.getLogger(__name__)


def inspector_group(run: str) -> str:
    """The group whose committed offsets say how far a run was looked at."""
    return f"sedi.{run}.inspector"


class Inspector:
    """`step` and `leave` may be called from any thread."""

    def __init__(self, settings: Settings, run: str) -> None:
        self._settings = settings
        self._run = run
        self._lock = threading.Lock()
        self._reader: LogReader | None = None
        self._writer: LogWriter | None = None

    def step(self) -> int:
        """Look at what has come, at most some hundred records; how many there were.

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

    def leave(self) -> None:
        """Hold nothing open; the next step begins at what is committed then, which another worker may have moved."""
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
    """Let the inspector work beside the app's agents, while `active` says that this worker is the one."""

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
                    await asyncio.to_thread(inspector.leave)
            except Exception as error:  # noqa: BLE001 - the world is wrong: stop, having committed nothing
                logger.error("inspecting failed: %r", error)
                await app.crash(error)
                return
            pause = 2 * (time.monotonic() - began) if found else _IDLE_S

    @app.on_before_shutdown.connect  # type: ignore[arg-type]
    async def close(app: faust.App, **_: object) -> None:
        await asyncio.to_thread(inspector.leave)
