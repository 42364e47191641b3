"""Events of batches: files of requests that an endpoint answers together within a day, at a lower price.

A batch is prepared, uploaded, submitted and ended, in this order, each step on the log before the next is taken. So a
process that died anywhere finds out at its next start what became of the batch.
"""

from typing import Literal

import msgspec

from schemas.events import Event
from schemas.scalars import Count, Ordinal, Sha256

BATCH_SUFFIX = "-batch"
"""Ends the backend's name in the start of a call that is asked in a batch."""

BatchEnd = Literal["completed", "failed", "expired", "cancelled", "not_sent", "given_up"]
"""How a batch ended: as the endpoint says; `not_sent`: it never came there; `given_up`: the endpoint does not know it,
and its user gave it up."""


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a batch: an attempt at a call, whose start is on the log."""

    request_id: str
    attempt: Ordinal


class BatchPrepared(Event, frozen=True, kw_only=True):
    """A batch was put together. Nothing of it was sent before.

    batch      its id, also in the name of its file; drawn at random, so that of two processes that by mistake share a
               lane only the first sends the requests
    endpoint   the path of its requests, such as `/v1/chat/completions`
    sha256     of its file
    bytes      of its file
    lines      its requests, in the order of the file
    """

    batch: str
    lane: str
    endpoint: str
    model: str
    sha256: Sha256
    bytes: Count
    lines: tuple[BatchLine, ...]


class BatchUploaded(Event, frozen=True, kw_only=True):
    """The file of a batch is at the endpoint. The batch itself was not created before.

    file_id   the endpoint's name of the file
    """

    batch: str
    lane: str
    file_id: str


class BatchSubmitted(Event, frozen=True, kw_only=True):
    """A batch is at the endpoint.

    remote_id   the endpoint's name of the batch
    """

    batch: str
    lane: str
    file_id: str
    remote_id: str


class BatchEnded(Event, frozen=True, kw_only=True):
    """A batch is over. The outcomes of its requests are on the log before; those without one are asked in another.

    answered, failed   requests with an answer and without one, by the files that were read
    unfinished         requests without an outcome: they were not carried out
    reason             what the endpoint says of a batch that failed; empty: nothing
    """

    batch: str
    lane: str
    status: BatchEnd
    answered: Count
    failed: Count
    unfinished: Count
    reason: str = ""
