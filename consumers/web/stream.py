"""What comes in, as server-sent events.

    status   where the run is, whole; its id is the position that the index has
    lines    records that came after a position; its id is the position after them

A browser that lost its connection sends the id of the last event, and gets what came after it: nothing is missing and
nothing comes twice. A page that was loaded again says its position in the address. Records are looked up in the index
when they are sent, so a slow reader or a pause costs no memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec
from starlette.concurrency import run_in_threadpool

from consumers.index import log_lines, tables
from consumers.index.follow import Follower, FollowState
from infra.log.record import Partition

_LOOK_S = 0.2
_ALIVE_S = 10.0


def event(kind: str, data: bytes, id: str) -> bytes:
    """One server-sent event; JSON of msgspec has no line breaks."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), id.encode(), data)


def status_json(state: FollowState, position: str) -> bytes:
    """Where a run is, as the page shows it."""
    return msgspec.json.encode(
        {
            "position": position,
            "status": state.status,
            "behind": state.behind,
            "connected": state.connected,
            "detail": state.detail,
            "ended": state.ended,
        }
    )


async def events(
    follower: Follower, topics: frozenset[str], positions: Mapping[Partition, int], stopping: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """The events of a run, the status at once, then what changes; with topics also their records from a position on."""
    sent: FollowState | None = None
    position = dict(positions)
    quiet = 0.0
    while not stopping():
        out = []
        state = follower.state
        if state is not sent:
            id = log_lines.position_text(position if topics else follower.index.committed)
            out.append(event("status", status_json(state, log_lines.position_text(follower.index.committed)), id))
            sent = state
        more = False
        ends = {place: end for place, end in follower.index.committed.items() if place[0] in topics}
        if any(position.get(place, 0) < end for place, end in ends.items()):
            found = await run_in_threadpool(_after, follower, ends, position)
            if found.lines:
                position |= log_lines.parse_position(found.after)
                out.append(event("lines", msgspec.json.encode(found), log_lines.position_text(position)))
                more = True
        if out:
            quiet = 0.0
            yield b"".join(out)
        elif quiet >= _ALIVE_S:
            quiet = 0.0
            yield b": alive\n\n"
        if not more:
            await asyncio.sleep(_LOOK_S)
            quiet += _LOOK_S


def _after(follower: Follower, ends: Mapping[Partition, int], position: Mapping[Partition, int]) -> log_lines.LogLines:
    with tables.reading(follower.index.file) as connection:
        return log_lines.after(connection, ends, position)
