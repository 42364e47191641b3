"""Writes the worker's events through Faust's producer, and waits for their confirmation."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import faust
from aiokafka.errors import MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from infra.log.dead_letters import NO_VALUE, can_be_written, dead_letter_headers, left_out_headers
from infra.log.record import Record, now
from infra.tracing.context import traceparent_of
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.errors import MalformedEvent
from schemas.events import Event
from schemas.registry import spec_of
from schemas.topics import dead_letter_name, topic_name
from streams.worker.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from streams.worker.observing import note_written

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)
R = TypeVar("R")


@dataclass(frozen=True)
class Outgoing:
    """An event to write, with its key, deterministic id, cause and partition."""

    event: Event
    key: str
    id: str
    causation_id: str | None = None
    partition: int = 0


class Outlet:
    """Writes the events and dead letters of one run."""

    def __init__(self, app: faust.App, run: str, component: str, limit: DeadLetterLimit) -> None:
        self._app = app
        self._run = run
        self._source = f"/sedi/{run}/{component}"
        self._correlation = ids.run_id(run)
        self._topics: dict[str, Any] = {}
        self._limit = limit
        self._counts: dict[str, DeadLetterCount] = {}

    async def write(self, outgoing: Iterable[Outgoing]) -> list[int]:
        """Write events; each partition keeps their order. Returns their offsets once the cluster has confirmed all.

        Raises when one is not confirmed.
        """
        pending, events = [], []
        for item in outgoing:
            events.append(item.event)
            traceparent = traceparent_of(self._run, item.event, item.id)
            meta = Meta(item.id, self._source, now(), item.causation_id, self._correlation, traceparent)
            key, value, headers = encode(item.event, item.key, meta)
            name = topic_name(self._run, spec_of(type(item.event)).topic)
            pending.append(await self._send(name, item.partition, key, value, headers))
        offsets = [int(message.offset) for message in await asyncio.gather(*pending)]
        note_written(self._run, events)
        return offsets

    async def evaluate_or_dead_letter(self, record: Record, kind: type[E], rule: Callable[[Record, E], R]) -> R | None:
        """The result of `rule` for a record that should hold a `kind`; None if it became a dead letter.

        A record that cannot be decoded, holds another event, or makes the rule fail would fail every time, so it must
        not stop the agent. Raises TooManyDeadLetters, without moving the record, if its topic has more dead letters
        than the limit allows.
        """
        if record.error is not None:
            await self._dead_letter(record, record.error)
            return None
        if not isinstance(record.event, kind):
            await self._dead_letter(record, MalformedEvent(f"{record.topic} takes {kind.__name__} only."))
            return None
        try:
            return rule(record, record.event)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - rules are pure, so the error is about this record
            await self._dead_letter(record, error)
            return None

    def dead_letters(self, topic: str) -> DeadLetterCount:
        """The count of a topic's dead letters."""
        return self._counts.setdefault(topic, DeadLetterCount(self._run, topic, self._limit))

    async def _dead_letter(self, record: Record, error: Exception) -> None:
        """Put a record on its dead-letter topic unchanged; one that is too large to write is only referred to."""
        self.dead_letters(record.topic).add(record.offset, error)
        headers = dead_letter_headers(record.topic, record.partition, record.offset, f"{type(error).__name__}: {error}")
        name = dead_letter_name(topic_name(self._run, record.topic))
        logger.warning("%s offset %d goes to the dead letters: %s", record.topic, record.offset, error)
        if can_be_written(record.key, record.value, record.headers):
            try:
                await (await self._send(name, 0, record.key, record.value, [*record.headers, *headers]))
                return
            except (MessageSizeTooLargeError, ProducerSendError) as refusal:
                if not isinstance(refusal.__cause__ or refusal, MessageSizeTooLargeError):
                    raise
        await (await self._send(name, 0, None, NO_VALUE, left_out_headers(headers)))

    async def _send(
        self, name: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Any:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = self._app.topic(name, key_serializer="raw", value_serializer="raw")
        return await topic.send(key=key, value=value, partition=partition, headers=headers)
