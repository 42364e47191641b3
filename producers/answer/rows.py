"""Kept rows as work: each takes the calls of its answer, and ends as one `InstructionAnswered`, in the order they were
kept (`producers.calls.ordered_work`).

A row that had its output when it was kept, such as one from a document, is written without a call: whoever reads
`answered` finds every row of the run there.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial

import msgspec

from producers.backends.base import Backend, CallFailure, RequestRefused
from producers.calls.caller import CallCause, Caller
from producers.calls.cost import total_cost
from producers.calls.event_size import larger_than_a_record
from producers.calls.kept_rows import READ_ROWS, KeptRows, OnRows
from producers.calls.ordered_work import FinishedItem
from producers.calls.queue_position import QueuePosition, ReachedPosition
from producers.calls.refusals import Refusals
from producers.generate.answer_styles import AnswerStyle, InstructionAnswers
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import InstructionAnswered, InstructionKept, Unparsed
from schemas.policy import Policy
from streams.core.answering import has_answer, read_answer
from streams.core.parse.answers import READING


@dataclass(frozen=True)
class ClusterShare:
    """Which clusters an answerer works on: every `of`-th, from the `number`-th (from 1) on.

    A cluster has one answerer, so that its rows are answered in the order they were kept.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ConfigurationError(
                f"The share is {self.number}/{self.of}; name one from 1/{self.of} to {self.of}/{self.of}, or leave it."
            )

    def includes(self, cluster: int) -> bool:
        return cluster % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    @property
    def named(self) -> str:
        """For the end of a sentence's subject: empty for all clusters."""
        return "" if self.of == 1 else f" of share {self.number}/{self.of}"


@dataclass(frozen=True)
class RowAnswerer:
    """Who answers rows, and how."""

    policy: Policy
    style: AnswerStyle
    backend: Backend
    refusals: Refusals = field(default_factory=Refusals)


@dataclass(frozen=True)
class RowAnswerItem:
    """A row to answer, as an item of ordered work. It takes the next free number of the answerer's lane."""

    row: InstructionKept
    answerer: RowAnswerer
    number: None = None

    @property
    def id(self) -> str:
        return ids.answered_id(self.row.id)

    @property
    def causation_id(self) -> str:
        return self.row.id

    async def work(self, cause: CallCause, caller: Caller) -> FinishedItem:
        by = self.answerer
        if has_answer(self.row):
            return self._finished("", InstructionAnswers(), self.row.id)
        found = await by.style.answer(self.row.instruction, partial(caller.ask, cause))
        causation_id = self.row.id
        if found.answers:
            last = found.answers[max(found.answers)]
            causation_id = ids.call_answered_id(last.request_id, last.attempt)
        if found.failure is None:
            by.refusals.answered()
        else:
            # This one will never be answered, but the next ones may be.
            if not isinstance(found.failure, RequestRefused) or by.refusals.too_many(found.failure):
                raise found.failure
            causation_id = found.failure.event_id or causation_id
        return self._finished(by.style.name, found, causation_id)

    def _finished(self, style: str, found: InstructionAnswers, causation_id: str) -> FinishedItem:
        row, by = self.row, self.answerer
        read = read_answer(by.policy, row, style, found.answers, _unparsed(found.failure))
        answers = tuple(found.answers[step] for step in sorted(found.answers))
        event = InstructionAnswered(
            row=read.row,
            style=style,
            backend=by.backend.name,
            model=answers[0].model if answers else by.backend.model,
            parameters=by.style.parameters if style else {},
            answers=answers,
            unparsed=read.unparsed,
            reason=read.reason,
            cost_usd=total_cost(answers),
            reading=READING,
        )
        return FinishedItem(_writable(event, row), row.id, self.id, causation_id, row.cluster)


def _unparsed(failure: CallFailure | None) -> Unparsed | None:
    return Unparsed(reason=failure.reason, text=str(failure)) if isinstance(failure, RequestRefused) else None


def _writable(event: InstructionAnswered, row: InstructionKept) -> InstructionAnswered:
    """The event; or, if it is larger than a record may be, one without the answer that says so."""
    larger = larger_than_a_record(event)
    if not larger:
        return event
    unparsed = (Unparsed(reason="too_large", text=f"The answer has {larger}; it is on `calls`."),)
    return msgspec.structs.replace(event, row=row, answers=(), unparsed=unparsed, reason="too_large")


@dataclass
class AnswerQueue:
    """The rows of a share, in order; `until_end`: it ends with those that are decided now, instead of waiting."""

    rows: KeptRows
    share: ClusterShare
    answerer: RowAnswerer
    until_end: bool
    on_rows: OnRows = lambda done, of: None
    ended: bool = False
    _read: "deque[InstructionKept]" = field(default_factory=deque)
    _processed: int = 0
    _reached: ReachedPosition = field(default_factory=ReachedPosition)

    def reached(self, items: int) -> QueuePosition | None:
        """The last position that is known to be after so many of the items that it gave."""
        return self._reached.finished(items)

    def go_on(self, position: QueuePosition | None) -> None:
        """Begin at a position of an earlier queue of the same rows; at the first row for None or another queue's."""
        if position is not None and position.of == self._of:
            self._processed = position.processed
            self.rows.go_on(position.rows)

    @property
    def _of(self) -> str:
        return f"share {self.share}"

    async def next(self) -> RowAnswerItem | None:
        """The next row; None: there is none now."""
        while True:
            if not self._read:
                position = QueuePosition(self._of, self._processed, 0, self.rows.position())
                self._reached.mark(position)
                self._read.extend(await asyncio.to_thread(self.rows.take, READ_ROWS))
            if not self._read:
                self.ended = self.until_end
                return None
            row = self._read.popleft()
            self._processed += 1
            self.on_rows(self._processed, self.rows.total)
            if self.share.includes(row.cluster):
                self._reached.given += 1
                return RowAnswerItem(row, self.answerer)
