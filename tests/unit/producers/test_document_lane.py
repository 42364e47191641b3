"""A lane about documents: kills change nothing that is decided, and nothing that is paid for is lost."""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from infra.log.record import Record
from infra.log.writer import LogWriter
from producers.backends.base import Answer, CallFailure, CallPlace, Request, RequestRefused, Scoring
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.limits import Limits
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.documents.document_reader import PlacedDocument
from producers.documents.segment_source import ResumePoint, SegmentSource
from producers.documents.segment_subjects import SegmentSubjects
from producers.documents.style import DocumentStyle
from producers.generate.backpressure import Backpressure
from producers.generate.lane import Lane
from producers.generate.lane_parts import LaneOptions, LaneServices
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import StallGuard
from schemas import ids
from schemas.events import CallAnswered, CallStarted, Event, InstructionsGenerated, Usage
from schemas.policy import Policy
from schemas.segments import Scorer, Segment, SegmentScores
from streams.core.documents.choice import NOT_SCORED, choose
from streams.core.parse.answers import by_step, form_of, read_candidates
from streams.core.similarity.tokenize import tokenizer
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_lane import Filtered

DOCUMENTS = [PlacedDocument(ids.document_id("a.txt", place, 0, "0" * 64), place, f"Tea {place}.") for place in range(9)]
CANDIDATES, SCORING = 3, 3


class Answering:
    """Answers as a model and as a scorer do; raises what `fails` returns for a call."""

    name, model, local = "fake", "tiny", True

    def __init__(self, fails: Callable[[CallPlace], CallFailure | None] = lambda _: None) -> None:
        self.fails = fails

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        await asyncio.sleep(0)
        if (failure := self.fails(place)) is not None:
            raise failure
        raw = f"Say in number {place.number} what {place.step} cups of tea are." if request.scoring is None else ""
        return Answer(raw or _scores(request), "stop", Usage(prompt_tokens=9, completion_tokens=1), "tiny", 0.0)

    def most_usage(self, scoring: Scoring) -> None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


def _scores(request: Request) -> str:
    assert request.scoring is not None
    asked = request.scoring.instructions
    scores = SegmentScores(
        scorer=Scorer(backend="local", model="s", sha256=None, template="alpaca", version=1),
        tokens=10,
        unconditional=-30.0,
        candidates=tuple(None if each is None else -20.0 - place for place, each in enumerate(asked)),
    )
    return msgspec.json.encode(scores).decode()


class Listed:
    def __init__(self) -> None:
        self.left, self.withdrawn = list(DOCUMENTS), set[str]()

    def next(self) -> PlacedDocument | None:
        return self.left.pop(0) if self.left else None


def whole(document: PlacedDocument) -> tuple[Segment, ...]:
    spans = ((0, len(document.text)),)
    return (
        Segment(
            id=ids.segment_id(document.id, "whole", spans),
            document_id=document.id,
            documents_offset=document.offset,
            number=0,
            strategy="whole",
            spans=spans,
            text=document.text,
        ),
    )


def run(log: MemoryLog, backend: Answering, scorer: Answering, generations: int, *, rewrites: bool = False) -> None:
    """Run the lane until it has so many generations."""
    reader = Filtered(log, configured(), 0, lambda _: 1.0)
    limits = Limits(max_generations=generations)
    caller = Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=reader.refresh,
        may_call=limits.may_call,
        prices=Prices(),
        retries=Retries(first_pause_s=0.0, longest_pause_s=0.0),
        rate=RateControl(RateOptions(), 8),
        known=reader.progress,
    )
    style = DocumentStyle(
        policy=Policy(),
        scorer=scorer,
        candidates=CANDIDATES,
        build=lambda text: Request(prompt=text),
        build_rewrite=(lambda text, _: Request(prompt=f"Rewrite {text}")) if rewrites else None,
        parameters={"candidates": CANDIDATES},
    )
    services = LaneServices(
        subjects=SegmentSubjects(style, SegmentSource(Listed(), whole, ResumePoint.of(reader.progress))),
        reader=cast(ProgressReader, reader),
        caller=caller,
        backend=backend,
        backpressure=Backpressure(lambda _: None),
    )
    asyncio.run(Lane(LaneOptions("r", "main", 1, limits, StallGuard()), services).run())


def after(records: list[Record]) -> MemoryLog:
    """A log that ends after these records: all that a killed lane has written."""
    log = MemoryLog()
    for record in records:
        log.records.append(record)
        log._ends[record.topic] += 1
    return log


def generated(log: MemoryLog) -> list[InstructionsGenerated]:
    return [each for each in log.events(InstructionsGenerated) if isinstance(each, InstructionsGenerated)]


def step_of(log: list[Record], event: Event | None) -> int | None:
    """The step of an answer on the log."""
    starts = {each.event.request_id: each.event.step for each in log if isinstance(each.event, CallStarted)}
    return starts[event.request_id] if isinstance(event, CallAnswered) else None


def refused(place: CallPlace) -> RequestRefused | None:
    """A candidate of the first generation is refused at its first attempt, and would be answered later."""
    first = place.number == 0 and place.step == 1 and place.attempt == 1
    return RequestRefused("flagged", status=400) if first else None


@pytest.mark.parametrize("rewrites", [False, True])
def test_a_kill_after_the_scoring_changes_nothing_though_a_refused_candidate_would_be_answered(rewrites: bool) -> None:
    log = MemoryLog()
    run(log, Answering(refused), Answering(), 2, rewrites=rewrites)
    undisturbed = generated(log)
    assert undisturbed[0].scores is not None and len(undisturbed[0].instructions) == CANDIDATES - 1
    scored = next(at for at, each in enumerate(log.records) if step_of(log.records, each.event) == SCORING)
    equal = 0
    for end in range(len(log.records)):
        killed = after(log.records[:end])
        run(killed, Answering(refused), Answering(), 2, rewrites=rewrites)
        found = generated(killed)
        for event in found:
            parsed = read_candidates(form_of(event), by_step(event))
            assert event.scores is not None and event.scores == parsed.scores, f"killed before record {end}"
            assert event.instructions == parsed.instructions and len(event.scores.candidates) == len(event.instructions)
        if end > scored:
            attempts = [[answer.attempt for answer in event.answers] for event in found]
            assert [each.instructions for each in found] == [each.instructions for each in undisturbed], attempts
            assert [each.scores for each in found] == [each.scores for each in undisturbed]
            equal += 1
    assert equal > 5


def test_a_refused_scoring_loses_no_candidate_and_too_many_in_a_row_end_the_lane() -> None:
    once = RequestRefused("too long", status=400, reason="too_long")
    log = MemoryLog()
    run(log, Answering(), Answering(lambda place: once if place.number == 1 else None), 3)
    before, event, later = generated(log)
    assert event.parameters == {"candidates": CANDIDATES, "scoring_refused": "too_long"}
    assert (len(event.answers), len(event.instructions), event.scores) == (CANDIDATES, CANDIDATES, None)
    parsed = read_candidates(form_of(event), by_step(event))
    assert (parsed.instructions, parsed.unparsed, parsed.scores) == (event.instructions, event.unparsed, None)
    words = [tokenizer(Policy().tokenizer)(task.instruction) for task in event.instructions]
    assert event.segment is not None
    assert choose(event, event.segment, Policy(), words).reasons == (NOT_SCORED,) * CANDIDATES
    assert before.scores is not None and later.scores is not None and "scoring_refused" not in later.parameters

    log = MemoryLog()
    with pytest.raises(RequestRefused, match="takes no prompts"):
        run(log, Answering(), Answering(lambda _: RequestRefused("takes no prompts", status=400)), 9)
    assert [len(each.instructions) for each in generated(log)] == [CANDIDATES] * 3, "the fourth in a row ends it"
