"""Fits a classifier while the filter decides on.

Fitting on many rows takes a second and more of a CPU, mostly in Python. It is done in a process of its own, which gets
the rows and gives back the classifier; few rows, and those that an embedder has to read, are fitted in a thread. The
filter waits for a fit only when it comes to the record from which on it is in force.

As a program, `python -m streams.worker.fit_beside` does one fit: standard input has a policy and the input of the fit,
standard output gets the event. It ends by itself soon after a worker that died.
"""

import asyncio
import sys

import msgspec

from infra.distribution import python_module
from schemas.errors import SediError
from schemas.events import ClassifierFitted
from schemas.policy import Policy
from streams.core import refits
from streams.core.filter_state import DueFit, FilterState

PROCESS_FROM = 2000
"""Rows from which on a fit is worth a process, which takes more than a second to begin."""


class _Job(msgspec.Struct, frozen=True):
    policy: Policy
    given: refits.FitInput


class FitBeside:
    """The fit at work, if any."""

    def __init__(self) -> None:
        self._due: DueFit | None = None
        self._task: asyncio.Future[ClassifierFitted] | None = None

    def begin(self, state: FilterState, due: DueFit) -> None:
        """Begin the fit that is due in a state, in place of an earlier one, unless it is at work already."""
        if due == self._due:
            return
        if self._task is not None:
            self._task.cancel()
        self._due = due
        given = refits.fit_input(state, due)
        if due.rows < PROCESS_FROM or state.policy.vectorizer == "embeddings":
            fitting = asyncio.to_thread(refits.fitted, state.policy, given, state.embedder)
        else:
            fitting = _in_process(_Job(state.policy, given))
        self._task = asyncio.ensure_future(fitting)

    async def settle(self) -> None:
        """Wait for the fit that was begun; what it raised is raised by `fitted`."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def fitted(self) -> ClassifierFitted:
        """Wait for the fit that was begun, and forget it. Raises what it raised."""
        task, self._task, self._due = self._task, None, None
        assert task is not None, "begin a fit first"
        return await task


async def _in_process(job: _Job) -> ClassifierFitted:
    process = await asyncio.create_subprocess_exec(
        *python_module(__name__), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        written, _ = await process.communicate(msgspec.json.encode(job))
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise SediError(
            f"The process that fits a classifier on {job.given.rows} rows ended with the exit code "
            f"{process.returncode}; its message is above. Nothing is lost; start the worker again."
        )
    return msgspec.json.decode(written, type=ClassifierFitted)


def main() -> None:
    """Fit what standard input says."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    sys.stdout.buffer.write(msgspec.json.encode(refits.fitted(job.policy, job.given)))


if __name__ == "__main__":
    main()
