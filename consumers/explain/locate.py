"""The thing that an id names; the start of an id is enough.

The run is read once, for a whole id up to where it is found; a record is decoded only when it holds the bytes of the
id. An id may name two things: a promoted seed has the id of the instruction it was. A whole id names itself, even if
another id starts with it. The calls of an evaluation are its answer's or judgement's, which their ids name too; those
of the answer to a kept instruction are the instruction's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

from consumers.explain.history import TopicRecords, read_history
from consumers.explain.locate_evaluation import TOPICS as EVALUATION_TOPICS
from consumers.explain.locate_evaluation import EvaluationKind, offer_events
from consumers.folds.deduplicate import ReadProgress, no_progress, records
from infra.log.record import Record
from infra.log.source import Source
from schemas import ids
from schemas.documents import DocumentRead
from schemas.errors import RunError
from schemas.events import (
    CallStarted,
    InstructionAnswered,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
)
from streams.core.answering import LANE as ANSWERERS

Kind = Literal["seed", "instruction", "generation", "request", "document"] | EvaluationKind

SHORTEST_PREFIX = 6
TOPICS = (
    *("run", "documents", "calls", "generated", "kept", "rejected", "answered", "seed-commands"),
    *EVALUATION_TOPICS,
)

_UUID_PART = re.compile(r"[0-9a-f-]{6,36}")
_SHOWN = 5
_OF_CALLS = {"generation", "request"}


@dataclass(frozen=True)
class Subject:
    """The thing to explain. `id`: of a model its key.

    generation_id   of an instruction, a generation or a request
    place           of an instruction in its generation
    step            of a request in its generation
    """

    id: str
    kinds: tuple[Kind, ...]
    generation_id: str | None = None
    place: int | None = None
    step: int | None = None


@dataclass
class _Search:
    """Things found so far, by id.

    exact     those that the whole text names, not only the start of a name
    answers   ids of answers to kept instructions, each with the texts that name it
    """

    text: str
    found: dict[str, dict[Kind, Subject]] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)
    answers: dict[str, set[str]] = field(default_factory=dict)

    def matches(self, name: str) -> bool:
        return name == self.text or (len(self.text) >= SHORTEST_PREFIX and name.startswith(self.text))

    @property
    def is_over(self) -> bool:
        """Whether what a whole id names was found: nothing else has it, but a seed, which is read before."""
        return self.text in self.exact and bool(self.found.get(self.text, {}).keys() - {"seed"})

    def offer_answer(self, answer_id: str, name: str) -> None:
        """Offer a name of an answer: its own id, or that of a request for it."""
        if self.matches(name):
            self.answers.setdefault(answer_id, set()).add(name)

    def offer(
        self,
        kind: Kind,
        id: str,
        generation_id: str | None = None,
        place: int | None = None,
        step: int | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Offer a thing. `name`: another text than its id that names it."""
        name = id if name is None else name
        if self.matches(name):
            self.found.setdefault(id, {}).setdefault(kind, Subject(id, (kind,), generation_id, place, step))
            if name == self.text:
                self.exact.add(id)


def locate(source: Source, text: str, progress: ReadProgress = no_progress) -> Subject:
    """The thing in the run with the id `text`.

    Raises RunError when there is none, when several ids start so, or when the run was never configured.
    """
    search = _Search(text)
    with source.open(TOPICS) as reading:
        read = partial(records, reading, progress=progress)
        pool = read_history(source, read).pool
        for id in [seed.task.id for seed in pool.active] + list(pool.evicted):
            search.offer("seed", id)
        is_id = _UUID_PART.fullmatch(text) is not None
        offer_events(
            read,
            lambda record: is_id and _holds(record, search),
            lambda kind, name, id: search.offer(kind, id, name=name),
        )
        if is_id:
            _documents(search, read)
            decided = _decided(search, read)
            if not search.is_over:
                _generated(search, read, decided)
            if not search.is_over:
                _calls(search, read)
                _answers(search, read)
    if search.answers:
        _answered_rows(search, source, progress)
    return _choose(search, source)


def _documents(search: _Search, read: TopicRecords) -> None:
    for record in read("documents"):
        if _holds(record, search) and isinstance(record.event, DocumentRead):
            search.offer("document", record.id)


def _decided(search: _Search, read: TopicRecords) -> int:
    """Search the filter's verdicts; returns the last offset of `generated` with one."""
    last: Record | None = None
    for record in read("rejected"):
        last = record
        if _holds(record, search) and isinstance(record.event, InstructionsRejected):
            for item in record.event.rejections:
                search.offer("instruction", item.id, generation_id=record.event.generation_id, place=item.place)
    for record in () if search.is_over else read("kept"):
        if _holds(record, search) and isinstance(record.event, InstructionKept):
            row = record.event
            search.offer("instruction", row.id, generation_id=row.generation_id, place=row.place)
            if search.is_over:
                break
    event = None if last is None else last.event
    return event.generated_offset if isinstance(event, InstructionsRejected) else -1


def _generated(search: _Search, read: TopicRecords, decided: int) -> None:
    for record in read("generated"):
        if record.offset > decided and isinstance(record.event, InstructionsGenerated):
            # ids of undecided instructions are nowhere on the log; they follow from the generation's
            for place in range(len(record.event.instructions)):
                search.offer("instruction", ids.instruction_id(record.id, place), generation_id=record.id, place=place)
        if _holds(record, search) and isinstance(record.event, InstructionsGenerated):
            search.offer("generation", record.id, generation_id=record.id)


def _calls(search: _Search, read: TopicRecords) -> None:
    for record in read("calls"):
        if _holds(record, search) and isinstance(record.event, CallStarted):
            call = record.event
            if call.lane.startswith(f"{ANSWERERS}/"):
                search.offer_answer(call.generation_id, call.request_id)
                search.offer_answer(call.generation_id, call.generation_id)
                continue
            search.offer("request", call.request_id, generation_id=call.generation_id, step=call.step)
            search.offer("generation", call.generation_id, generation_id=call.generation_id)


def _answers(search: _Search, read: TopicRecords) -> None:
    for record in read("answered"):
        if search.matches(record.id) and isinstance(record.event, InstructionAnswered):  # it does not hold its own id
            search.offer_answer(record.id, record.id)


def _answered_rows(search: _Search, source: Source, progress: ReadProgress) -> None:
    """Offer the kept instructions of the answers that were found. Their ids follow from the instructions'."""
    with source.open(["kept"]) as reading:
        for record in records(reading, "kept", progress):
            row = record.event
            if isinstance(row, InstructionKept) and (names := search.answers.get(ids.answered_id(row.id))):
                subject = Subject(row.id, ("instruction",), row.generation_id, row.place)
                search.found.setdefault(row.id, {}).setdefault("instruction", subject)
                if search.text in names:
                    search.exact.add(row.id)


def _holds(record: Record, search: _Search) -> bool:
    wanted = search.text.encode()
    return wanted in (record.key or b"") or wanted in (record.value or b"")


def _choose(search: _Search, source: Source) -> Subject:
    found = _without_their_calls(search.found)
    found = {id: kinds for id, kinds in found.items() if id in search.exact} or found
    if not found:
        short = len(search.text) < SHORTEST_PREFIX
        hint = f" The start of an id is enough from {SHORTEST_PREFIX} characters on." if short else ""
        raise RunError(
            f"Nothing in {source.name} has the id {search.text!r}: no seed, instruction, generation, request or "
            f"document, and no model, question, answer or judgement of an evaluation.{hint} Ids are on the log: "
            "`sedi tail --until-end --json`, `sedi seeds list`, `sedi corpus list`."
        )
    if len(found) > 1:
        some = ", ".join(_listed(found))
        fits = "names" if search.exact else "is the start of"
        raise RunError(f"{search.text!r} {fits} {len(found)} ids: {some}. Give more of the one you mean.")
    return _merge(next(iter(found.values())))


def _without_their_calls(found: dict[str, dict[Kind, Subject]]) -> dict[str, dict[Kind, Subject]]:
    """What was found, without calls whose answer or judgement was found too."""
    evaluated = {id for id, kinds in found.items() if kinds.keys() & get_args(EvaluationKind)}
    left = {
        id: {
            kind: subject
            for kind, subject in kinds.items()
            if kind not in _OF_CALLS or subject.generation_id not in evaluated
        }
        for id, kinds in found.items()
    }
    return {id: kinds for id, kinds in left.items() if kinds}


def _listed(found: dict[str, dict[Kind, Subject]]) -> Iterator[str]:
    for shown, (id, kinds) in enumerate(sorted(found.items())):
        if shown == _SHOWN:
            yield "..."
            return
        yield f"{id} ({' and '.join(kinds)})"


def _merge(kinds: dict[Kind, Subject]) -> Subject:
    """One subject of all that an id names, placed as its instruction if it is one."""
    first = next(iter(kinds.values()))
    placed = next((kinds[kind] for kind in ("instruction", "request", "generation") if kind in kinds), first)
    return Subject(first.id, tuple(kinds), placed.generation_id, placed.place, placed.step)
