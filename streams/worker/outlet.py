"""Writes the worker's events, table entries and dead letters, and waits for the confirmation of events and letters."""

import logging
from collections.abc import Callable, Iterable, Mapping
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
from streams.worker.block_writer import BlockWriter, Outbound
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


@dataclass(frozen=True)
class Refused:
    """A record that is to become a dead letter, which its topic's limit allows, and why."""

    record: Record
    error: Exception


class Outlet:
    """Writes the events and dead letters of one run."""

    def __init__(self, app: faust.App, run: str, component: str, limit: DeadLetterLimit, writer: BlockWriter) -> None:
        self._app = app
        self._writer = writer
        self._run = run
        self._source = f"/sedi/{run}/{component}"
        self._correlation = ids.run_id(run)
        self._topics: dict[str, Any] = {}
        self._names: dict[type[Event], str] = {}
        self._limit = limit
        self._counts: dict[str, DeadLetterCount] = {}

    async def write(self, outgoing: Iterable[Outgoing]) -> list[int]:
        """Write events; each partition keeps their order. Returns their offsets once the cluster has confirmed all.

        Raises when one is not confirmed.
        """
        time = now()
        records, events = [], []
        for item in outgoing:
            events.append(item.event)
            traceparent = traceparent_of(self._run, item.event, item.id)
            meta = Meta(item.id, self._source, time, item.causation_id, self._correlation, traceparent)
            key, value, headers = encode(item.event, item.key, meta)
            records.append(Outbound(self._name(type(item.event)), item.partition, key, value, headers))
        offsets = await self._writer.write(records)
        note_written(self._run, events)
        return offsets

    async def store(self, table: Any, entries: Mapping[bytes, bytes]) -> None:
        """Put entries into a table, as `BlockWriter.store`."""
        await self._writer.store(table, entries)

    def evaluate(self, record: Record, kind: type[E], rule: Callable[[Record, E], R]) -> R | Refused:
        """The result of `rule` for a record that should hold a `kind`; Refused if it is to become a dead letter.

        A record that cannot be decoded, holds another event, or makes the rule fail would fail every time, so it must
        not stop the agent. Raises TooManyDeadLetters if its topic has more dead letters than the limit allows.
        """
        if record.error is not None:
            return self._refuse(record, record.error)
        if not isinstance(record.event, kind):
            return self._refuse(record, MalformedEvent(f"{record.topic} takes {kind.__name__} only."))
        try:
            return rule(record, record.event)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - rules are pure, so the error is about this record
            return self._refuse(record, error)

    async def evaluate_or_dead_letter(self, record: Record, kind: type[E], rule: Callable[[Record, E], R]) -> R | None:
        """As `evaluate`, and write the dead letter; then None."""
        found = self.evaluate(record, kind, rule)
        if isinstance(found, Refused):
            await self.dead_letter(found)
            return None
        return found

    async def dead_letter(self, refused: Refused) -> None:
        """Put a record on its dead-letter topic unchanged; one that is too large to write is only referred to."""
        record, error = refused.record, refused.error
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

    def dead_letters(self, topic: str) -> DeadLetterCount:
        """The count of a topic's dead letters."""
        return self._counts.setdefault(topic, DeadLetterCount(self._run, topic, self._limit))

    def _name(self, kind: type[Event]) -> str:
        name = self._names.get(kind)
        if name is None:
            name = self._names[kind] = topic_name(self._run, spec_of(kind).topic)
        return name

    def _refuse(self, record: Record, error: Exception) -> Refused:
        self.dead_letters(record.topic).add(record.offset, error)
        return Refused(record, error)

    async def _send(
        self, name: str, partition: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> Any:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = self._app.topic(name, key_serializer="raw", value_serializer="raw")
        return await topic.send(key=key, value=value, partition=partition, headers=headers)
