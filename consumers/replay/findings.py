"""What an audit finds: divergences, repeats and unreadable records, each with its place on the log.

A *divergence* is a difference between the log and what the core decides from it. A *repeat* is an event that is on the
log again with the same content, as a crash leaves it; readers drop it, so it changes nothing. An *unreadable* record
does not decode, or is on the wrong topic.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from consumers.copied_fields import fields_of
from infra.log.record import Record

Kind = Literal[
    "removed",  # offsets are not on the log
    "reordered",  # an event is after one that follows it
    "missing",  # a decided event is not on the log
    "unexpected",  # an event on the log was not decided
    "flipped",  # a kept instruction should be rejected, or the reverse
    "reason",  # an instruction was rejected for another reason
    "similarity",  # the recorded similarity or nearest instruction differs
    "cluster",  # a kept instruction is in another cluster
    "counts",  # the filter's counts or totals differ
    "classifier",  # a classifier was fitted at another time or to other numbers
    "lane",  # a lane's numbers have a gap
    "seeds_shown",  # another sample of seeds, or of kept instructions beside them, was shown
    "steering",  # a request followed other verdicts than it says, or asked for something else than they give
    "read",  # an instruction, score, answer or choice is not what its raw answer or its log-likelihoods give
    "answer",  # a raw answer in an event is not the one on `calls`
    "segment",  # a segment is not the text of its document's spans, or has no document
    "batch",  # a trained row is not the next one of its cluster
    "withdrawn",  # a window has a row of a document that was withdrawn before it, or names withdrawals not on the log
    "steps",  # a window's steps do not follow the window before it
    "unanswered",  # a window has no command
    "outcome",  # a command chose another step or had another outcome
    "candidates",  # a command's verdicts on its candidates differ
    "victim",  # a command replaced another seed
    "score",  # a victim's recorded score differs
    "altered",  # anything else about an event differs
]

SHOWN = 20

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class AuditState(msgspec.Struct, frozen=True, kw_only=True):
    """The filter's and the pool's state before a divergence; None where a process does not follow the pool."""

    applied: int
    kept_total: int
    generated_total: int
    classifier_offset: int
    commands_offset: int | None
    seeds: int | None


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """One difference.

    topic, partition, offset   its place on the log; of a missing event, where it should be
    generated_offset           its place in the run's total order
    what                       the difference in a sentence
    recorded, decided          both sides, as far as they differ
    """

    kind: Kind
    topic: str
    partition: int
    offset: int
    generated_offset: int
    id: str | None = None
    what: str
    recorded: Any = None
    decided: Any = None
    state: AuditState


class DivergenceDetails(TypedDict, total=False):
    """Of a divergence, where it has them."""

    id: str
    recorded: Any
    decided: Any


def in_order(divergence: Divergence) -> tuple[int, bool]:
    """Sort key of divergences: in total order, and at one place faults of the log before their consequences."""
    return divergence.generated_offset, divergence.kind not in ("removed", "reordered")


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is on the log again at this place."""

    topic: str
    partition: int
    offset: int
    id: str


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be read, and why."""

    topic: str
    partition: int
    offset: int
    error: str


@dataclass
class Findings:
    """Collects what is found: counts all, and keeps the first few of each sort.

    state        returns the state at the moment
    conducting   whether to record faults of the log as a whole: order, completeness, repeats, feedback
    deciding     whether to record wrong decisions of the filter
    put_aside    places of the records that must be among the dead letters
    """

    state: Callable[[], AuditState]
    conducting: bool = True
    deciding: bool = False
    divergences: list[Divergence] = field(default_factory=list)
    by_kind: Counter[str] = field(default_factory=Counter)
    repeats: list[Repeat] = field(default_factory=list)
    repeats_by_topic: Counter[str] = field(default_factory=Counter)
    unreadable: list[Unreadable] = field(default_factory=list)
    unreadable_by_topic: Counter[str] = field(default_factory=Counter)
    put_aside: set[Place] = field(default_factory=set)

    def diverged(
        self, kind: Kind, at: Record | Place, generated_offset: int, what: str, **details: Unpack[DivergenceDetails]
    ) -> None:
        """Record a divergence of the log as a whole; of a record with its id, unless `details` have another."""
        if self.conducting:
            self._record(kind, at, generated_offset, what, details)

    def misdecided(
        self, kind: Kind, at: Record | Place, generated_offset: int, what: str, **details: Unpack[DivergenceDetails]
    ) -> None:
        """Record a wrong decision of the filter."""
        if self.deciding:
            self._record(kind, at, generated_offset, what, details)

    def _record(
        self, kind: Kind, at: Record | Place, generated_offset: int, what: str, details: DivergenceDetails
    ) -> None:
        self.by_kind[kind] += 1
        if len(self.divergences) < SHOWN:
            if not isinstance(at, tuple):
                details.setdefault("id", at.id)
                at = place_of(at)
            topic, partition, offset = at
            self.divergences.append(
                Divergence(
                    kind=kind,
                    topic=topic,
                    partition=partition,
                    offset=offset,
                    generated_offset=generated_offset,
                    what=what,
                    state=self.state(),
                    **details,
                )
            )

    def repeated(self, record: Record) -> None:
        if not self.conducting:
            return
        self.repeats_by_topic[record.topic] += 1
        if len(self.repeats) < SHOWN:
            self.repeats.append(Repeat(**fields_of(Repeat, record)))

    def cannot_read_as(self, record: Record, cls: type) -> None:
        """Record one that does not decode, or is not of the one class that its topic takes."""
        self.cannot_read(record, str(record.error or f"{record.topic} takes {cls.__name__} only."))

    def cannot_read(self, record: Record, error: str) -> None:
        if not self.conducting:
            return
        self.unreadable_by_topic[record.topic] += 1
        self.put_aside.add(place_of(record))
        if len(self.unreadable) < SHOWN:
            self.unreadable.append(
                Unreadable(topic=record.topic, partition=record.partition, offset=record.offset, error=error)
            )

    @property
    def count(self) -> int:
        """Divergences in all."""
        return self.by_kind.total()


def place_of(record: Record) -> Place:
    return record.topic, record.partition, record.offset


def differences(recorded: msgspec.Struct, decided: msgspec.Struct) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields in which two structs of one type differ: those of each."""
    names = [name for name in recorded.__struct_fields__ if getattr(recorded, name) != getattr(decided, name)]
    return tuple({name: getattr(side, name) for name in names} for side in (recorded, decided))  # type: ignore[return-value]
