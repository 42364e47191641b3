"""Releases kept rows whose answers are not used, before the filter decides (`streams.core.releases`).

A release is due before every few records. The worker reads `answered`, writes the release, and reads `run` up to it:
what is used is the first one there for that offset, which another worker may have written, dead by now or not.
"""

import asyncio

from infra.settings import Settings
from schemas import ids
from schemas.errors import BrokerError
from schemas.events import InstructionAnswered
from streams.core.decider import FilterState
from streams.core.releases import RecordedReleases, due_release, release, release_due
from streams.worker.cursor import Fetch
from streams.worker.optional_topic import OptionalTopic
from streams.worker.outlet import Outgoing, Outlet


class FailedAnswers:
    """Reads `answered` directly from the log; a run may lack that topic, and get it later.

    failed   ids of the rows whose answer is not used, as far as it was read; the first answer to a row counts
    """

    def __init__(self, settings: Settings, run: str) -> None:
        self.failed: dict[str, None] = {}
        self._answered: set[str] = set()
        self._topic = OptionalTopic(settings, run, "answered", "worker-failed-answers")

    async def read_on(self) -> None:
        """Read on to the end, off the event loop. Raises BrokerError."""
        await asyncio.to_thread(self._read_on)

    def apply(self, event: object) -> None:
        """Take an event of `answered` into account."""
        if isinstance(event, InstructionAnswered) and event.row.id not in self._answered:
            self._answered.add(event.row.id)
            if event.reason is not None:
                self.failed[event.row.id] = None

    def close(self) -> None:
        self._topic.close()

    def _read_on(self) -> None:
        reader = self._topic.reader()
        for record in () if reader is None else reader.read_to_end():
            self.apply(record.event)


class Releaser:
    """Writes and reads the releases of one run. Its calls must not overlap."""

    def __init__(self, run: str, outlet: Outlet, fetch: Fetch, answers: FailedAnswers) -> None:
        self._run = run
        self._outlet = outlet
        self._fetch = fetch
        self._answers = answers
        self._recorded = RecordedReleases()
        self._read_to = 0

    async def read_on(self) -> None:
        """Read `run` on to its end. Raises BrokerError."""
        while records := await self._fetch("run", self._read_to, None):
            for record in records:
                self._recorded.apply(record.event)
            self._read_to = records[-1].offset + 1

    def restore(self, state: FilterState) -> None:
        """Release what was released before the last decision in the state, as far as `run` was read."""
        for event in self._recorded.through(state.applied):
            release(state, event)

    async def before(self, state: FilterState, offset: int) -> None:
        """Release what is to be released before the decision on `offset`, the next one of the state.

        Raises when the release is not confirmed, or cannot be read again.
        """
        if not release_due(state.policy, offset):
            return
        if offset not in self._recorded.by_offset:
            await self._answers.read_on()
            event = due_release(state, offset, self._answers.failed)
            await self._outlet.write([Outgoing(event, self._run, ids.released_id(offset))])
            await self.read_on()
        recorded = self._recorded.by_offset.get(offset)
        if recorded is None:
            raise BrokerError(
                f"What the filter of run {self._run!r} wrote to `run` cannot be read there yet. Nothing is lost; start "
                "the worker again."
            )
        release(state, recorded)
