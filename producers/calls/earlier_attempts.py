"""What other processes did in a lane: those before this one, whose attempts may still be to be had, and one beside it,
which there must not be.

An attempt in a batch outlives the process that started it (`streams.core.batch_ledger`).
"""

from producers.backends.base import Backend, OutlivingBackend
from producers.calls.ledger_events import CallCause
from producers.calls.limits import OTHER_LANES
from producers.generate.progress import LaneProgress
from schemas.errors import RunError


def attempt_to_resume(progress: LaneProgress, cause: CallCause, request_id: str, backend: Backend) -> int | None:
    """The attempt at a request that is taken up; None: the next one is to be made. Raises RunError when a batch holds
    the request and this lane cannot read it."""
    found = progress.batches.find(request_id)
    if found is None:
        return None
    if found.lane == cause.lane and isinstance(backend, OutlivingBackend):
        return found.attempt
    if found.batch is None:  # it was not sent
        return None
    raise RunError(
        f"A request of lane {cause.lane!r} is in batch {found.batch} of lane {found.lane!r}, which is at the endpoint. "
        f"Start lane {found.lane!r} again with --batch-api, until its batches have ended, and then this one."
    )


def check_sole_writer(progress: LaneProgress, cause: CallCause, request_id: str, own: int) -> None:
    """Raise RunError if another process makes calls in the lane; `own`: attempts at the request that are known here."""
    if cause.number < progress.next_number or progress.next_attempt(request_id) != own + 1:
        remedy = "Stop one of them, or give each generator its own --lane."
        if cause.lane.startswith(OTHER_LANES):
            remedy = "Let it end, and start this command again: what it did is not done twice."
        raise RunError(
            f"Lane {cause.lane!r} is also written by another process: number {cause.number} has calls that this "
            f"process did not make. {remedy}"
        )
