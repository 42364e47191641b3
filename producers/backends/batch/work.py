"""One batch, from its requests to the last outcome, in steps; the event of a step is on the log before the next.

    prepared    which attempts it holds; nothing was sent
    uploaded    its file is at the endpoint; the batch was not created
    submitted   the batch is at the endpoint
    ended       the outcomes of its attempts are on the log

After a crash it goes on from the last of these. Where the log says `uploaded`, the batch may have been created: it is
looked for at the endpoint, and created only if it is surely not there. One that is only `prepared` was not, and ends as
`not_sent`; its attempts wait for the next batch, as do those of a batch that the endpoint failed as a whole.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.backends.base import FailureKind, Transient
from producers.backends.batch.endpoint import BatchNotKnown, RemoteBatch
from producers.backends.batch.file import Missing, RequestLine, outcome_line
from producers.backends.batch.services import Attempt, BatchesRefused, BatchServices
from schemas import ids
from schemas.batches import BatchEnd, BatchEnded, BatchLine, BatchPrepared, BatchSubmitted, BatchUploaded
from schemas.errors import RunError
from schemas.events import Event
from streams.core.batch_ledger import OpenBatch

_NEWS_S = 300.0  # between two reports on an open batch
_FULL_S = 60.0  # before requests are sent again that the endpoint's queue had no room for
_LOOKS = 5  # at a batch that is over, until its files name all that it counts


@dataclass
class BatchAtWork:
    """A batch of this process. `unbooked`: attempts whose outcomes are not on the log; `settled`: set once there are
    none."""

    services: BatchServices
    id: str
    unbooked: set[Attempt]
    size: int
    caused_by: str
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    answered: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        if not self.unbooked:
            self.settled.set()

    def booked(self, attempt: Attempt) -> None:
        self.unbooked.discard(attempt)
        if not self.unbooked:
            self.settled.set()

    async def resume(self, found: OpenBatch) -> None:
        """Go on with a batch that an earlier process left open."""
        if not self.unbooked or found.file_id is None:
            await self._end("completed" if found.remote_id else "not_sent")
            return
        remote_id = found.remote_id
        if remote_id is None:
            try:
                remote = await self._settled(found.file_id)
            except BatchNotKnown as unknown:
                await self._give_up(unknown)
                return
            if remote is None:
                await self._end("not_sent")
                return
            remote_id = remote.id
            await self._submitted(found.file_id, remote_id)
        await self._follow(remote_id)

    async def send(self, lines: Sequence[RequestLine]) -> None:
        """Make the batch of requests of one URL. Raises RunError when another process has one of them in a batch."""
        url, content = lines[0].url, b"\n".join([*(line.raw for line in lines), b""])
        prepared = BatchPrepared(
            batch=self.id,
            lane=self.services.lane,
            endpoint=url,
            model=self.services.endpoint.backend.model,
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            lines=tuple(BatchLine(request_id=line.request_id, attempt=line.attempt) for line in lines),
        )
        await self._write(prepared, "prepared")
        known = (await self.services.log.batches()).open.get(self.id)
        if known is None or set(known.lines.items()) != self.unbooked:
            raise RunError(
                f"Lane {self.services.lane!r} is also written by another process, which has requests of this one in a "
                "batch. Stop one of them, or give each generator its own --lane."
            )
        file_id = await self.services.insist(lambda: self.services.endpoint.upload(f"sedi-{self.id}.jsonl", content))
        await self._write(BatchUploaded(batch=self.id, lane=self.services.lane, file_id=file_id), "uploaded")
        remote = await self._create(file_id, url)
        await self._submitted(file_id, remote.id)
        self.services.notify(f"A batch of {self.size:,} requests is at the endpoint ({remote.id})")
        await self._follow(remote.id)

    async def _create(self, file_id: str, url: str) -> RemoteBatch:
        """Create the batch, once: where that is not sure, it is looked for before another try."""

        async def once() -> RemoteBatch:
            try:
                return await self.services.endpoint.create(self.id, file_id, url)
            except Transient as failure:
                if failure.kind is FailureKind.RATE_LIMITED:  # refused
                    raise
                found = await self._settled(file_id)
                if found is None:
                    raise
                return found

        return await self.services.insist(once)

    async def _settled(self, file_id: str) -> RemoteBatch | None:
        """The batch, which may have been created; None once it is sure that it was not."""
        found = await self.services.insist(lambda: self.services.endpoint.find(self.id, file_id))
        if found is not None:
            return found
        await asyncio.sleep(self.services.options.settle_s)
        return await self.services.insist(lambda: self.services.endpoint.find(self.id, file_id))

    async def _submitted(self, file_id: str, remote_id: str) -> None:
        event = BatchSubmitted(batch=self.id, lane=self.services.lane, file_id=file_id, remote_id=remote_id)
        await self._write(event, "submitted")

    async def _follow(self, remote_id: str) -> None:
        """Wait for the end of a batch, and give out its outcomes."""
        try:
            remote, read, whole = await self._outcomes(remote_id)
        except BatchNotKnown as unknown:
            await self._give_up(unknown)
            return
        if remote.status == "failed" and not read:
            await self._failed(remote)
            return
        why = f"Batch {remote_id} is {remote.status}, and its files do not name this request."
        missing = Missing(why, carried_out=remote.status == "completed" or not whole)
        self.failed += len(self.unbooked - read)
        for attempt in self.unbooked - read:
            self.services.deliver(attempt, missing)
        await self.settled.wait()
        await self._end(_end_of(remote.status))

    async def _outcomes(self, remote_id: str) -> tuple[RemoteBatch, set[Attempt], bool]:
        """Wait for the end of a batch and give out what its files name. Returns it with the attempts that they name,
        and whether these are as many as it counts. Its files may come after its status.

        Raises BatchNotKnown for a batch or file that is not there.
        """
        read: set[Attempt] = set()
        known = self.size - len(self.unbooked)
        for pause_s in (*[self.services.options.poll_s] * (_LOOKS - 1), None):
            remote = await self._over(remote_id)
            unread = await self._read(remote, read)
            whole = known + len(read) >= min(self.size, remote.completed + remote.failed)
            if whole or remote.status == "failed":
                break
            if pause_s is not None:
                await asyncio.sleep(pause_s)
            elif unread is not None or not remote.files:
                raise unread or BatchNotKnown(f"Batch {remote_id} is {remote.status} and names no file.")
        return remote, read, whole

    async def _over(self, remote_id: str) -> RemoteBatch:
        started = shown = time.monotonic()
        counts = (0, 0)
        while True:
            remote = await self.services.insist(lambda: self.services.endpoint.retrieve(remote_id))
            if remote.over:
                return remote
            if time.monotonic() - shown >= _NEWS_S and counts != (remote.completed, remote.failed):
                shown, counts = time.monotonic(), (remote.completed, remote.failed)
                self.services.notify(
                    f"Batch {remote_id}: {remote.status}, {remote.completed:,} of {self.size:,} requests answered, "
                    f"{remote.failed:,} failed, after {(shown - started) / 60:.0f} minutes"
                )
            await asyncio.sleep(self.services.options.poll_s)

    async def _read(self, remote: RemoteBatch, read: set[Attempt]) -> BatchNotKnown | None:
        """Give out the outcomes in a batch's files, and add the attempts that they name to `read`; of two outcomes of
        one the first counts. Returns why a file could not be read."""
        unread: BatchNotKnown | None = None

        async def all_files() -> None:
            nonlocal unread
            for file in remote.files:
                try:
                    async for raw in self.services.endpoint.lines(file):
                        found = outcome_line(raw, remote.seconds)
                        attempt = ("", 0) if found is None else (found.request_id, found.attempt)
                        if found is None or attempt in read or attempt not in self.unbooked:
                            continue
                        read.add(attempt)
                        self.answered += found.answered
                        self.failed += not found.answered
                        self.services.deliver(attempt, found)
                except BatchNotKnown as unknown:
                    unread = unknown

        await self.services.insist(all_files)
        return unread

    async def _failed(self, remote: RemoteBatch) -> None:
        """The endpoint failed a batch as a whole: it carried out none of it."""
        reason = remote.errors.text.rstrip(". ") or "no reason given"
        if not _is_full(remote):
            await self._end("failed", reason, again=False)
            raise BatchesRefused(
                f"The endpoint failed batch {remote.id}: {reason}. None of its requests was carried out. Correct what "
                "it says and start again: they are asked then."
            )
        self.services.notify(
            f"The endpoint had no room for a batch: {reason}. It is sent again in {_FULL_S:.0f} s. "
            "If that does not end, start with a smaller --batch-size"
        )
        await asyncio.sleep(_FULL_S)
        await self._end("failed", reason)

    async def _give_up(self, unknown: BatchNotKnown) -> None:
        """The endpoint does not know a batch that may have been carried out."""
        if not self.services.options.give_up:
            raise BatchesRefused(
                f"{unknown} Is this the URL and the key that it was submitted with? If it is lost, --batch-give-up "
                f"asks its {len(self.unbooked):,} requests again, which may be paid twice then."
            )
        missing = Missing(f"The batch was given up: {unknown}", carried_out=True)
        for attempt in await self._end("given_up", str(unknown), again=False):
            self.services.deliver(attempt, missing)

    async def _end(self, status: BatchEnd, reason: str = "", *, again: bool = True) -> Sequence[Attempt]:
        """Write the end of a batch. Returns the attempts without an outcome; `again`: they go into another batch."""
        left = sorted(self.unbooked)
        event = BatchEnded(
            batch=self.id,
            lane=self.services.lane,
            status=status,
            answered=self.answered,
            failed=self.failed,
            unfinished=len(left),
            reason=reason,
        )
        await self._write(event, "ended")
        self.services.ended(self.id, left if again else ())
        return left

    async def _write(self, event: Event, step: str) -> None:
        id = event_id(self.id, step)
        await self.services.log.write(event, key=self.id, id=id, causation_id=self.caused_by)
        self.caused_by = id


def event_id(batch: str, step: str) -> str:
    """The id of the event of a step."""
    return ids.child(batch, step)


def last_step(found: OpenBatch) -> str:
    """The last step of an open batch that is on the log."""
    if found.remote_id is not None:
        return "submitted"
    return "prepared" if found.file_id is None else "uploaded"


def _end_of(status: str) -> BatchEnd:
    match status:
        case "failed" | "expired" | "cancelled":
            return status
        case _:
            return "completed"


def _is_full(remote: RemoteBatch) -> bool:
    """Whether a batch failed because too much waits at the endpoint already."""
    return "token_limit_exceeded" in remote.errors.codes or "enqueued token limit" in remote.errors.text.lower()
