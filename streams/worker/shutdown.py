"""Stops a worker that cannot go on: in order, and within a bounded time.

Faust's own `crash` marks all services as crashed at once. The consumer's thread then ends by itself, while the shutdown
still hands it the last commit, and waits for ever for the answer. So an error that the agents find stops the worker as
SIGTERM does: the consumer's thread ends last.

An error that Faust finds still crashes all services, and a client may wait long for a cluster that has gone. So a
shutdown is also bounded: after LIMIT_S the process prints where it waits, and ends.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import faust
from mode.utils.tracebacks import print_task_stack

logger = logging.getLogger(__name__)

LIMIT_S = 30.0
"""Shorter than the supervisor's patience, so that the worker can say why it ended."""

_EXIT_S = 5.0  # for the interpreter to end once the main thread has
_LOOK_S = 0.2


class WorkerApp(faust.App):
    """An app that stops in order when it crashes. `failure`: the error that stopped it."""

    logger = logging.getLogger("faust.app")  # by default it would be this module's
    failure: BaseException | None = None

    async def crash(self, reason: BaseException) -> None:
        """Begin to stop because of this error; does nothing when the app is stopping. Returns at once."""
        if self.failure is None and not self.should_stop:
            self.failure = reason
            logger.error("the worker stops: %r", reason, exc_info=reason)
            os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def bounded_shutdown(service: Any, end: Callable[[], object], limit_s: float | None = None) -> Iterator[None]:
    """Run the mode service within the block; call `end`, which ends the process, if its shutdown takes too long.

    limit_s   seconds from the beginning of the shutdown to the end of the block; default LIMIT_S. After the block the
              process may go on; once it exits, threads that the service has left delay that by _EXIT_S at most

    `end` is called in a thread of its own, after the stacks of all threads and tasks were printed on standard error.
    """
    left = threading.Event()
    limit = LIMIT_S if limit_s is None else limit_s

    def watch() -> None:
        while not (service.should_stop or left.is_set()):
            time.sleep(_LOOK_S)
        if left.wait(limit):
            threading.main_thread().join()
            time.sleep(_EXIT_S)
        try:
            _print_stacks(service.loop)
        finally:
            end()

    threading.Thread(target=watch, name="bounded-shutdown", daemon=True).start()
    try:
        yield
    finally:
        left.set()


def _print_stacks(loop: asyncio.AbstractEventLoop) -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        sys.stderr.write(f"\nThread {names.get(ident, ident)}:\n")
        traceback.print_stack(frame, file=sys.stderr)
    for task in asyncio.all_tasks(loop):
        sys.stderr.write(f"\nTask {task.get_name()}:\n")
        print_task_stack(task, file=sys.stderr)
    sys.stderr.flush()
