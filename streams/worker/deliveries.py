"""Takes what Faust has delivered of a topic, as much as there is, and offers it to the topic's cursor."""

import asyncio
from typing import Any

from infra.log.record import Record
from streams.worker.cursor import Cursor

DELIVERED = 1000
"""The most records of a topic that wait for their block; further ones wait in Faust's own buffer."""


async def deliver_in_blocks(stream: Any, cursor: Cursor) -> None:
    """Offer the stream's records to the cursor, and acknowledge them once they are applied; ends with the stream.

    While a block is being applied, the next one gathers. A record is offered at once when none is being applied.
    """
    waiting: asyncio.Queue[Any] = asyncio.Queue(DELIVERED)
    end = object()

    async def gather() -> None:
        try:
            async for event in stream.noack().events():
                await waiting.put(event)
        finally:
            await waiting.put(end)

    gathering = asyncio.ensure_future(gather())
    try:
        events: list[Any] = []
        while end not in events:
            events = [await waiting.get()]
            while not waiting.empty():
                events.append(waiting.get_nowait())
            delivered = [event for event in events if event is not end]
            await cursor.offer(*(_record(cursor.topic, event.message) for event in delivered))
            for event in delivered:
                event.ack()
        await gathering
    finally:
        gathering.cancel()


def _record(topic: str, message: Any) -> Record:
    headers = message.headers.items() if isinstance(message.headers, dict) else (message.headers or ())
    return Record(
        topic,
        message.partition,
        message.offset,
        int((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value,
        headers=headers,
    )
