"""Writes to the log without blocking the event loop: one thread waits for all confirmations."""

import asyncio
from typing import Any

from infra.log.writer import LogWriter
from schemas.errors import BrokerError
from schemas.events import Event


class ConfirmingWriter:
    """The writes of one event loop. `write` hands events to the client in the order it is called."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._unconfirmed: list[tuple[Any, asyncio.Future[None]]] = []
        self._waiter: asyncio.Task[None] | None = None

    @property
    def run(self) -> str:
        return self._writer.run

    async def write(self, event: Event, *, key: str, id: str, causation_id: str, partition: int = 0) -> None:
        """Write an event; returns when the cluster has confirmed it. If cancelled, it is written all the same.

        Raises BrokerError when the cluster does not accept it.
        """
        pending = self._writer.send(event, key=key, id=id, causation_id=causation_id, partition=partition)
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unconfirmed.append((pending, confirmed))
        if self._waiter is None or self._waiter.done():
            self._waiter = asyncio.create_task(self._wait())
        await confirmed

    async def _wait(self) -> None:
        while self._unconfirmed:
            batch, self._unconfirmed = self._unconfirmed, []
            errors = await asyncio.to_thread(self._wait_for, [pending for pending, _ in batch])
            for (_, confirmed), error in zip(batch, errors, strict=True):
                if confirmed.done():
                    continue
                if error is None:
                    confirmed.set_result(None)
                else:
                    confirmed.set_exception(error)

    def _wait_for(self, pending: list[Any]) -> list[BrokerError | None]:
        errors: list[BrokerError | None] = []
        for write in pending:
            try:
                self._writer.wait(write)
                errors.append(None)
            except BrokerError as error:
                errors.append(error)
        return errors
