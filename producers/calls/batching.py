"""Calls of a lane in batches: which backend they then go through, and how many may be under way."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.settings import Settings
from producers.backends.base import Backend, OutlivingBackend
from producers.backends.batch.options import MOST_CALLS, BatchOptions
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.generate.progress import LaneProgress
from schemas.errors import ConfigurationError, RunError

if TYPE_CHECKING:
    from producers.backends.batch.services import BatchLog

_NEVER = 1_000_000_000


def check_batches(settings: Settings, rate: RateOptions, in_flight: int | None) -> None:
    """Raise ConfigurationError where calls cannot be made in batches."""
    if settings.backend != "openai":
        raise ConfigurationError(
            f"The backend is {settings.backend!r}, and only an endpoint takes batches. Use --backend openai, or leave "
            "--batch-api out."
        )
    if in_flight is not None or rate.rpm is not None or rate.tpm is not None:
        raise ConfigurationError(
            "--in-flight, --rpm and --tpm limit calls that are made one by one. With --batch-api leave them out; "
            "--batch-size says how many requests a batch has."
        )


def batch_rate(notify: Callable[[str], None]) -> RateControl:
    """Rate control of calls that wait for batches: as many as a lane may have, and no pauses."""
    options = RateOptions(start=MOST_CALLS, least=MOST_CALLS, breaker_failures=_NEVER)
    return RateControl(options, MOST_CALLS, notify)


def batch_backend(
    backend: Backend,
    options: BatchOptions,
    log: "BatchLog",
    known: LaneProgress,
    retries: Retries,
    notify: Callable[[str], None],
) -> OutlivingBackend:
    """The backend that asks this endpoint in batches, and takes up those that the lane has there."""
    from producers.backends.batch.backend import BatchBackend
    from producers.backends.openai import OpenAIBackend

    if not isinstance(backend, OpenAIBackend):
        raise ConfigurationError(f"The backend {backend.name!r} takes no batches. Leave --batch-api out.")
    return BatchBackend(
        backend,
        options,
        known.lane,
        log,
        open_batches=dict(known.batches.of_lane(known.lane)),
        persistent=lambda failures: retries.forever or failures < retries.attempts,
        notify=notify,
    )


def check_no_batches(known: LaneProgress) -> None:
    """Raise RunError when the lane has batches at the endpoint and is started without them."""
    found = {id: batch for id, batch in known.batches.of_lane(known.lane).items() if batch.lines}
    if found:
        requests = sum(len(batch.lines) for batch in found.values())
        raise RunError(
            f"Lane {known.lane!r} has {len(found)} batches with {requests:,} requests at the endpoint. Start it with "
            "--batch-api, which takes them up; without it they would be asked and paid for again."
        )
