"""Answers requests with continuous batching, in a thread of its own.

Requests wait in a FIFO queue until there is room in the batch (`producers.backends.local_model.batch`). An empty batch
waits a few milliseconds for further requests to join the first. On out-of-memory all rows are preempted and queued
again, the batch size is halved, and the rows continue where they were. A request that does not fit alone is refused.

`stop` ends the thread after its current step; waiting requests fail.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from producers.backends.base import CallFailure, EndpointRefused, FailureKind, Request, RequestRefused, Transient
from producers.backends.local_model.batch import DecodingBatch
from producers.backends.local_model.loading import LocalModel
from producers.backends.local_model.row import DecodingRow

_GATHER_S = 0.005
_MOST_PREFILL = 4096  # tokens, padding included, of one prefill; further requests wait for the next step
_STOPPED = Transient("The model was stopped before it answered.", kind=FailureKind.UNREACHABLE)


@dataclass(frozen=True)
class BatchedAnswer:
    """The answer to a request."""

    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int


Done = Callable[[BatchedAnswer | CallFailure], None]


@dataclass(eq=False)
class QueuedRequest:
    """A request that waits, or is in the batch as `row`. `abandoned`: nobody waits for its answer."""

    request: Request
    seed: str
    done: Done
    row: DecodingRow | None = None
    abandoned: bool = False


class Batcher:
    """The thread and its queue. `rows`: the largest batch; `notify` gets a message when it is lowered."""

    def __init__(self, model: LocalModel, rows: int, notify: Callable[[str], None] = lambda _: None) -> None:
        self._model = model
        self._notify = notify
        self._batch = DecodingBatch(model)
        self._waiting: deque[QueuedRequest] = deque()
        self._in_flight: list[QueuedRequest] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.most = rows

    def submit(self, request: Request, seed: str, done: Done) -> QueuedRequest:
        """Queue a request; `done` is called once, in the thread. Randomness depends on `seed` alone."""
        queued = QueuedRequest(request, seed, done)
        with self._changed:
            if self._stopped:
                done(_STOPPED)
                return queued
            self._waiting.append(queued)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="transformers", daemon=True)
                self._thread.start()
            self._changed.notify()
        return queued

    def stop(self) -> None:
        """End the thread, and wait for its end."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._gather():
            try:
                out_of_memory = self._advance()
            except Exception as error:  # noqa: BLE001 - the requests fail, and the thread lives on
                self._fail(EndpointRefused(f"{self._model.name} failed: {type(error).__name__}: {error}"))
                continue
            if out_of_memory:
                self._halve()
        for queued in (*self._in_flight, *self._waiting):
            queued.done(_STOPPED)

    def _gather(self) -> bool:
        """Wait until there is work; False when the thread must end."""
        with self._changed:
            while not (self._stopped or self._waiting or self._in_flight):
                self._changed.wait()
            if not self._in_flight:
                until = time.monotonic() + _GATHER_S
                while not self._stopped and len(self._waiting) < self.most and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
            return not self._stopped

    def _advance(self) -> bool:
        """One step for all rows, then prefill new ones as far as there is room. Returns True on out-of-memory."""
        self._remove_finished()
        try:
            if self._batch.rows:
                self._batch.step()
                self._remove_finished()
            if joining := self._admit():
                self._in_flight.extend(joining)
                self._batch.join([queued.row for queued in joining if queued.row is not None])
        except torch.OutOfMemoryError:
            return True
        except RuntimeError as error:
            if "allocate memory" not in str(error) and "not enough memory" not in str(error):
                raise
            return True
        self._remove_finished()
        return False

    def _remove_finished(self) -> None:
        """Answer the finished requests, and remove them and the abandoned ones from the batch."""
        remaining = []
        for queued in self._in_flight:
            row = queued.row
            if row is not None and row.finish_reason is not None:
                queued.done(BatchedAnswer(row.text, row.finish_reason, len(row.prompt), len(row.generated)))
            elif not queued.abandoned:
                remaining.append(queued)
        self._in_flight = remaining
        self._batch.keep([queued.row for queued in remaining if queued.row is not None])

    def _admit(self) -> list[QueuedRequest]:
        """The requests that join now, in the order of the queue."""
        joining: list[QueuedRequest] = []
        longest = 0
        while len(self._in_flight) + len(joining) < self.most:
            with self._changed:
                if not self._waiting:
                    break
                queued = self._waiting[0]
            row = self._row_of(queued)
            if row is not None:
                longest = max(longest, len(row.prompt) + len(row.generated))
                if joining and longest * (len(joining) + 1) > _MOST_PREFILL:
                    break
                joining.append(queued)
            with self._changed:
                self._waiting.popleft()
        return joining

    def _row_of(self, queued: QueuedRequest) -> DecodingRow | None:
        """The request in tokens; None if it is abandoned, or fails because it cannot be answered."""
        if queued.abandoned:
            return None
        if queued.row is not None:
            return queued.row
        model, sampling = self._model, queued.request.sampling
        try:
            prompt, opening = model.tokenize(queued.request)
            room = model.context - len(prompt)
            if not prompt or room < 1:
                raise RequestRefused(
                    f"The request has {len(prompt)} tokens, and {model.name} takes from 1 to {model.context}, with one "
                    "of the answer at least. Show fewer seeds, or use a model with a longer context."
                )
        except CallFailure as failure:
            queued.done(failure)
            return None
        except Exception as error:  # noqa: BLE001 - a tokenizer may raise anything
            queued.done(RequestRefused(f"The tokenizer of {model.name} does not take the request: {error}"))
            return None
        queued.row = DecodingRow(
            prompt=prompt,
            opening=opening,
            most=room if sampling.max_tokens is None else min(room, sampling.max_tokens),
            sampling=sampling,
            stop=queued.request.stop,
            ends=model.ends,
            text_of=model.text_of,
            seed=queued.seed,
        )
        return queued.row

    def _halve(self) -> None:
        """Preempt all rows, and halve the batch size."""
        preempted, self._in_flight = self._in_flight, []
        self._batch.clear()
        if self._model.device == "cuda":
            torch.cuda.empty_cache()
        self.most = max(1, len(preempted) // 2)
        if len(preempted) == 1:
            tokens = 0 if preempted[0].row is None else len(preempted[0].row.prompt)
            preempted[0].done(
                RequestRefused(
                    f"A request of {tokens} tokens does not fit in memory, not even alone. Lower --call-max-tokens, "
                    "show fewer seeds, or use a smaller model."
                )
            )
            return
        self._notify(f"Out of memory with {len(preempted)} requests in a batch; going on with {self.most} at once.")
        with self._changed:
            self._waiting.extendleft(reversed(preempted))

    def _fail(self, failure: CallFailure) -> None:
        failed, self._in_flight = self._in_flight, []
        self._batch.clear()
        for queued in failed:
            queued.done(failure)
