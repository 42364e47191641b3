"""Files and batches at an endpoint, by the part of the OpenAI API that servers of the same form offer too.

A batch is found again by the file that it was created from, which is in every answer about it, or by its metadata where
the server keeps them. Errors are those of a call (`producers.backends.base`), and say what to do.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from producers.backends.base import CallFailure, EndpointRefused, RequestRefused, Transient
from producers.backends.batch.file import lines_of
from producers.backends.bounded import MOST_BYTES
from producers.backends.error_bodies import ErrorBody, read_error
from producers.backends.openai import OpenAIBackend, json_of

_TRANSFER_S = 1800.0  # of a file
_CALL_S = 60.0  # of any other call
_MOST_LISTED = 10_000
_METADATA = "sedi_batch"
_LAST = {"completed", "failed", "expired", "cancelled"}


class BatchNotKnown(EndpointRefused):
    """The endpoint does not know a batch or a file, or cannot say whether it does."""


@dataclass(frozen=True)
class RemoteBatch:
    """A batch, as the endpoint describes it.

    files       of its outcomes: of those with an answer first
    completed, failed   requests so far
    errors      why it failed, if it did
    seconds     from its creation to its end; 0 where the endpoint does not say
    """

    id: str
    status: str
    files: tuple[str, ...]
    completed: int
    failed: int
    errors: ErrorBody
    seconds: float

    @property
    def over(self) -> bool:
        return self.status in _LAST


class BatchEndpoint:
    """The endpoint of a backend. All methods raise CallFailure."""

    def __init__(self, backend: OpenAIBackend) -> None:
        self.backend = backend

    async def upload(self, name: str, content: bytes) -> str:
        """Upload the file of a batch. Returns the endpoint's name of it."""
        found = await self._call(
            self.backend.client.files.create(file=(name, content), purpose="batch", timeout=_TRANSFER_S), _TRANSFER_S
        )
        return _text(found, "id")

    async def create(self, batch: str, file_id: str, url: str) -> RemoteBatch:
        """Create a batch of an uploaded file."""
        options: Any = {"endpoint": url, "input_file_id": file_id, "metadata": {_METADATA: batch}}
        return _read(await self._call(self.backend.client.batches.create(completion_window="24h", **options)))

    async def retrieve(self, remote_id: str) -> RemoteBatch:
        """The batch now. Raises BatchNotKnown."""
        return _read(await self._call(self.backend.client.batches.retrieve(remote_id), known=f"batch {remote_id}"))

    async def find(self, batch: str, file_id: str) -> RemoteBatch | None:
        """The batch that was created from a file; None: there is none. Raises BatchNotKnown when the endpoint does not
        list its batches, or too many of them."""
        page = await self._call(self.backend.client.batches.list(limit=100), known="list of its batches")
        seen = 0
        while True:
            found = getattr(page, "data", None) or []
            for each in found:
                metadata = getattr(each, "metadata", None)
                named = metadata.get(_METADATA) if isinstance(metadata, dict) else None
                if getattr(each, "input_file_id", None) == file_id or named == batch:
                    return _read(each)
            seen += len(found)
            if not found or not getattr(page, "has_more", False):
                return None
            if seen >= _MOST_LISTED:
                raise BatchNotKnown(f"Batch {batch} is not among the endpoint's last {_MOST_LISTED:,} batches.")
            after = _text(found[-1], "id")
            page = await self._call(
                self.backend.client.batches.list(limit=100, after=after), known="list of its batches"
            )

    async def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """The lines of a file of outcomes, as they arrive. Raises BatchNotKnown."""
        rest = bytearray()
        with self.backend.translated(_TRANSFER_S):
            try:
                async with (
                    asyncio.timeout(_TRANSFER_S),
                    self.backend.client.files.with_streaming_response.content(file_id, timeout=_TRANSFER_S) as response,
                ):
                    async for chunk in response.iter_bytes():
                        for line in lines_of(chunk, rest, MOST_BYTES):
                            yield line
            except openai.NotFoundError as error:
                why = read_error(error.response.text).text or "no reason given"
                raise BatchNotKnown(f"The endpoint does not know file {file_id}: {why}.", status=404) from None
            except httpx2.HTTPError as error:
                raise Transient(f"File {file_id} broke off ({type(error).__name__}).") from None
        yield bytes(rest)

    async def _call(self, call: Any, timeout_s: float = _CALL_S, known: str | None = None) -> Any:
        """`known`: what is asked for, where the endpoint may not know it."""
        try:
            with self.backend.translated(timeout_s):
                async with asyncio.timeout(timeout_s):
                    return await call
        except (EndpointRefused, RequestRefused) as refusal:
            raise _refusal(refusal, known) from None


def _refusal(refusal: CallFailure, known: str | None) -> CallFailure:
    """A refusal about batches, which are of all requests rather than of one."""
    if refusal.status in (404, 405, 400, 501) and known is not None:
        return BatchNotKnown(f"The endpoint does not know the {known}: {refusal}", status=refusal.status)
    hint = ""
    if refusal.status in (404, 405):
        hint = " Does it offer files and batches? Without --batch-api each request is made by itself."
    elif refusal.status == 413:
        hint = " Make smaller batches with --batch-size."
    return EndpointRefused(f"{refusal}{hint}", status=refusal.status)


def _read(found: Any) -> RemoteBatch:
    counts, errors = getattr(found, "request_counts", None), getattr(found, "errors", None)
    files = (getattr(found, name, None) for name in ("output_file_id", "error_file_id"))
    status = getattr(found, "status", None)
    ends = (getattr(found, f"{name}_at", None) for name in ("completed", "expired", "cancelled", "failed"))
    end, start = next((at for at in ends if isinstance(at, int)), None), getattr(found, "created_at", None)
    data = json_of(getattr(errors, "data", None) or [])
    return RemoteBatch(
        id=_text(found, "id"),
        status=status if isinstance(status, str) else "unknown",
        files=tuple(file for file in files if isinstance(file, str) and file),
        completed=_count(counts, "completed"),
        failed=_count(counts, "failed"),
        errors=read_error(json.dumps(data, default=str)) if data else ErrorBody(),
        seconds=float(max(0, end - start)) if end is not None and isinstance(start, int) else 0.0,
    )


def _count(counts: Any, name: str) -> int:
    found = getattr(counts, name, None)
    return found if isinstance(found, int) and found >= 0 else 0


def _text(found: Any, name: str) -> str:
    value = getattr(found, name, None)
    if not isinstance(value, str) or not value:
        raise EndpointRefused(
            f"The endpoint's answer about a file or batch has no `{name}`. Does it offer the batch API?"
        )
    return value
