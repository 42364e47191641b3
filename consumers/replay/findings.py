"""What an audit finds: divergences, repeats and unreadable records, each with its place on the log.

A *divergence* is a difference between what the log holds and what the core decides from the same log. A *repeat* is an
event that stands on the log more than once with the same content, as a crash leaves it; readers drop it, so it changes
nothing. An *unreadable* record is one that does not decode, or does not belong where it stands.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from infra.log.record import Record

Kind = Literal[
    "removed",  # offsets are not on the log
    "reordered",  # an event stands after one that follows it
    "missing",  # an event that was decided is not on the log
    "unexpected",  # an event on the log was not decided
    "flipped",  # an instruction was kept that is to be rejected, or the other way round
    "reason",  # an instruction was rejected for another reason
    "similarity",  # the recorded similarity or nearest instruction is another one
    "cluster",  # a kept instruction stands in another cluster
    "counts",  # the filter's counts or totals are others
    "classifier",  # a classifier was fitted at another time or to other numbers
    "lane",  # a lane's numbers do not follow one another
    "seeds_shown",  # another sample of seeds, or of kept instructions beside them, was shown
    "read",  # an instruction, or a judge's score, is not what was read from its answer
    "answer",  # an answer in a generation is not the one in the ledger of calls
    "batch",  # a trained row is not the one that was next in its cluster
    "steps",  # a window's steps do not follow the one before it
    "unanswered",  # a window was passed over
    "outcome",  # a command chose another step or had another outcome
    "candidates",  # a command's verdicts on its candidates are others
    "victim",  # a command replaced another seed
    "score",  # a victim's recorded score is another one
    "altered",  # anything else about an event is another
]

SHOWN = 20

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class AuditState(msgspec.Struct, frozen=True, kw_only=True):
    """The filter's and the pool's state just before a divergence; None where a process does not follow it."""

    applied: int
    kept_total: int
    generated_total: int
    classifier_offset: int
    commands_offset: int | None
    seeds: int | None


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """One difference.

    topic, partition, offset   where it shows on the log; of an event that is missing, where it was looked for
    generated_offset           the place in the run's total order that it is about
    recorded, decided          both sides, as far as they differ
    """

    kind: Kind
    topic: str
    partition: int
    offset: int
    generated_offset: int
    id: str | None
    what: str
    recorded: Any
    decided: Any
    state: AuditState


def in_order(divergence: Divergence) -> tuple[int, bool]:
    """Sorts divergences: at one place of the total order, what is wrong with the log before what follows from it."""
    return divergence.generated_offset, divergence.kind not in ("removed", "reordered")


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """An event that stands on the log again at this place."""

    topic: str
    partition: int
    offset: int
    id: str


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A record that nothing can be read from, and why."""

    topic: str
    partition: int
    offset: int
    error: str


@dataclass
class Findings:
    """Collects what is found; keeps the first few of each sort, counts all.

    state        tells the state at the moment
    conducting   whether what concerns the log as a whole is noted: order, completeness, repeats, feedback
    deciding     whether what concerns the filter's decisions is noted
    put_aside    where records stand that must be among the dead letters
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
        self,
        kind: Kind,
        place: Place,
        generated_offset: int,
        what: str,
        *,
        id: str | None = None,
        recorded: Any = None,
        decided: Any = None,
    ) -> None:
        """Note a divergence of the log as a whole that shows at (topic, partition, offset)."""
        if self.conducting:
            self._note(kind, place, generated_offset, what, id, recorded, decided)

    def misdecided(
        self,
        kind: Kind,
        place: Place,
        generated_offset: int,
        what: str,
        *,
        id: str | None = None,
        recorded: Any = None,
        decided: Any = None,
    ) -> None:
        """Note a decision of the filter that is another one."""
        if self.deciding:
            self._note(kind, place, generated_offset, what, id, recorded, decided)

    def _note(
        self, kind: Kind, place: Place, generated_offset: int, what: str, id: str | None, recorded: Any, decided: Any
    ) -> None:
        self.by_kind[kind] += 1
        if len(self.divergences) < SHOWN:
            topic, partition, offset = place
            self.divergences.append(
                Divergence(
                    kind=kind,
                    topic=topic,
                    partition=partition,
                    offset=offset,
                    generated_offset=generated_offset,
                    id=id,
                    what=what,
                    recorded=recorded,
                    decided=decided,
                    state=self.state(),
                )
            )

    def repeated(self, record: Record, id: str) -> None:
        if not self.conducting:
            return
        self.repeats_by_topic[record.topic] += 1
        if len(self.repeats) < SHOWN:
            repeat = Repeat(topic=record.topic, partition=record.partition, offset=record.offset, id=id)
            self.repeats.append(repeat)

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
    """The fields in which two structs of one type differ, of each side."""
    names = [name for name in recorded.__struct_fields__ if getattr(recorded, name) != getattr(decided, name)]
    return tuple({name: getattr(side, name) for name in names} for side in (recorded, decided))  # type: ignore[return-value]
