"""Begins a recovery of the tables again when it makes no progress.

Faust fetches the changelogs up to their ends while it recovers. When a rebalance overtakes a fetch, the records fetched
are dropped, while the consumer's position stays behind them, and the recovery waits for them for ever. Begun again, it
seeks to the first record that it has not applied.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust

logger = logging.getLogger(__name__)

STILL_S = 30.0
_LOOK_S = 2.0


@dataclass
class RecoveryWatch:
    """Watches Faust's recovery service. `look` begins the recovery again after `still_s` without a record applied.

    fetching   whether records are fetched now; before that the offsets are looked up, which has time-outs of its own
    """

    recovery: Any
    still_s: float
    fetching: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _remaining: int | None = None
    _since: float = 0.0

    def look(self) -> None:
        """To be called now and then."""
        if not (self.recovery.in_recovery and self.fetching()):
            self._remaining = None
            return
        remaining, now = self.recovery.active_remaining_total(), self.clock()
        if remaining != self._remaining:
            self._remaining, self._since = remaining, now
        elif now - self._since >= self.still_s:
            logger.warning("recovery begins again: no changelog record came for %.0f s", now - self._since)
            self._since = now
            self.recovery.signal_recovery_start.set()


def watch_recovery(app: faust.App) -> None:
    """Watch the app's recoveries, the first one included, from its first assignment on."""
    watched = False

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]
    async def begin(app: faust.App, assigned: Any, **_: Any) -> None:
        nonlocal watched
        if not watched:
            watched = True
            app.add_future(_watch(app))


async def _watch(app: faust.App) -> None:
    consumer: Any = app.consumer
    watch = RecoveryWatch(app.tables.recovery, STILL_S, lambda: bool(consumer.flow_active))  # type: ignore[attr-defined]
    while not app.should_stop:
        await asyncio.sleep(_LOOK_S)
        watch.look()
