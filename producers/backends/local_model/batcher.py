"""Answers requests as they come, as many at once as fit, in a thread of its own.

Requests wait in the order of their coming until there is room in the batch (`producers.backends.local_model.batch`). An
empty batch waits a few milliseconds for others to come with the first. When memory runs out, the batch is put aside,
half as many rows are let in from then on, and what was put aside goes on where it was; a request that does not fit
alone is refused.

`stop` ends the thread after the step that is under way, and gives up what waits.
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

_GATHERED_S = 0.005
_READ_TOGETHER = 4096  # tokens of prompts, padding too, in one forward; others wait for the next step
_STOPPED = Transient("The model was stopped before it had answered.", kind=FailureKind.UNREACHABLE)


@dataclass(frozen=True)
class BatchedAnswer:
    """What became of a request."""

    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int


Done = Callable[[BatchedAnswer | CallFailure], None]


@dataclass(eq=False)
class QueuedRequest:
    """A request that waits, or is under way as `row`. Nobody wants an answer to one that is `given_up`."""

    request: Request
    seed: str
    done: Done
    row: DecodingRow | None = None
    given_up: bool = False


class Batcher:
    """The thread and what it works on. `rows` is the most at once; `say` is told when it must be lowered."""

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
        """Let a request be answered; `done` is called in the thread, once. Randomness follows from `seed` alone."""
        asked = QueuedRequest(request, seed, done)
        with self._changed:
            if self._stopped:
                done(_STOPPED)
                return asked
            self._waiting.append(asked)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="transformers", daemon=True)
                self._thread.start()
            self._changed.notify()
        return asked

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._gathered():
            try:
                out_of_memory = self._advance()
            except Exception as error:  # noqa: BLE001 - whoever asked is told, and the thread lives on
                self._fail(EndpointRefused(f"{self._model.name} failed: {type(error).__name__}: {error}"))
                continue
            if out_of_memory:
                self._halve()
        for asked in (*self._in_flight, *self._waiting):
            asked.done(_STOPPED)

    def _gathered(self) -> bool:
        """Wait until there is something to do; False when it is to end."""
        with self._changed:
            while not (self._stopped or self._waiting or self._in_flight):
                self._changed.wait()
            if not self._in_flight:
                until = time.monotonic() + _GATHERED_S
                while not self._stopped and len(self._waiting) < self.most and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
            return not self._stopped

    def _advance(self) -> bool:
        """One step for all that is under way, after letting in what there is room for. True: memory has run out."""
        self._tidy()
        try:
            if self._batch.rows:
                self._batch.step()
                self._tidy()
            if joining := self._admitted():
                self._in_flight.extend(joining)
                self._batch.join([asked.row for asked in joining if asked.row is not None])
        except torch.OutOfMemoryError:
            return True
        except RuntimeError as error:
            if "allocate memory" not in str(error) and "not enough memory" not in str(error):
                raise
            return True
        self._tidy()
        return False

    def _tidy(self) -> None:
        """Answer those that have ended, and take them out, with those that nobody waits for."""
        going = []
        for asked in self._in_flight:
            row = asked.row
            if row is not None and row.finish_reason is not None:
                asked.done(BatchedAnswer(row.text, row.finish_reason, len(row.prompt), len(row.generated)))
            elif not asked.given_up:
                going.append(asked)
        self._in_flight = going
        self._batch.keep([asked.row for asked in going if asked.row is not None])

    def _admitted(self) -> list[QueuedRequest]:
        """Those that join now, in the order of their coming."""
        joining: list[QueuedRequest] = []
        longest = 0
        while len(self._in_flight) + len(joining) < self.most:
            with self._changed:
                if not self._waiting:
                    break
                asked = self._waiting[0]
            row = self._row_of(asked)
            if row is not None:
                longest = max(longest, len(row.prompt) + len(row.generated))
                if joining and longest * (len(joining) + 1) > _READ_TOGETHER:
                    break
                joining.append(asked)
            with self._changed:
                self._waiting.popleft()
        return joining

    def _row_of(self, asked: QueuedRequest) -> DecodingRow | None:
        """The request in tokens; None, and whoever asked is told, when it cannot be answered."""
        if asked.given_up:
            return None
        if asked.row is not None:
            return asked.row
        model, sampling = self._model, asked.request.sampling
        try:
            prompt, begun = model.asked(asked.request)
            room = model.context - len(prompt)
            if not prompt or room < 1:
                raise RequestRefused(
                    f"The request has {len(prompt)} tokens, and {model.name} takes from 1 to {model.context}, with one "
                    "of the answer at least. Show fewer seeds, or use a model with a longer context."
                )
        except CallFailure as failure:
            asked.done(failure)
            return None
        except Exception as error:  # noqa: BLE001 - a tokenizer may raise anything
            asked.done(RequestRefused(f"The tokenizer of {model.name} does not take the request: {error}"))
            return None
        asked.row = DecodingRow(
            prompt=prompt,
            begun=begun,
            most=room if sampling.max_tokens is None else min(room, sampling.max_tokens),
            sampling=sampling,
            stop=asked.request.stop,
            ends=model.ends,
            text_of=model.text_of,
            seed=asked.seed,
        )
        return asked.row

    def _halve(self) -> None:
        """Put the batch aside and let in half as many from now on."""
        aside, self._in_flight = self._in_flight, []
        self._batch.clear()
        if self._model.device == "cuda":
            torch.cuda.empty_cache()
        self.most = max(1, len(aside) // 2)
        if len(aside) == 1:
            tokens = 0 if aside[0].row is None else len(aside[0].row.prompt)
            aside[0].done(
                RequestRefused(
                    f"A request of {tokens} tokens does not fit in memory, not even alone. Lower --call-max-tokens, "
                    "show fewer seeds, or use a smaller model."
                )
            )
            return
        self._notify(f"Memory has run out with {len(aside)} requests in a batch; from now on {self.most} are.")
        with self._changed:
            self._waiting.extendleft(reversed(aside))

    def _fail(self, failure: CallFailure) -> None:
        failed, self._in_flight = self._in_flight, []
        self._batch.clear()
        for asked in failed:
            asked.done(failure)
