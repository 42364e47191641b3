"""A run that answers kept instructions alone: generator, worker, two answerers and broker are killed, and its log is
that of the run nobody disturbed.

Answers come from an endpoint that answers equal requests equally, as far as a test can tell the answers of two runs
apart.
"""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.replay import Audit, audit
from infra.local_broker.temporary_broker import TemporaryBroker, temporary_broker
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.settings import Settings
from producers.backends.base import CallPlace, Message, Request, Sampling
from producers.backends.load_model import LoadModel
from schemas.events import (
    CallFailed,
    CallStarted,
    Event,
    InstructionAnswered,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    InstructionsReleased,
)
from schemas.policy import policy_for, policy_with
from streams.core.decider import first_classifier
from streams.core.ledger import Ledger
from tests.harness.crew import Crew
from tests.harness.victims import points_of
from tests.unit.core.conftest import own_seeds
from tests.unit.producers.endpoint import BusyServer, running

POLICY = policy_for(clusters=4, batch_size=4, refit_from=32, feedback=False, threshold=0.7, answer="kept")
GENERATIONS = 120
FIRST = [
    ("call announced", 5),
    ("call under way", 4),
    ("answer in hand", 7),
    ("answer stored", 9),
    ("row answered", 6),
    ("answered row sent", 11),
    ("answered row written", 3),
]
SECOND = [("answered row sent", 5), ("call under way", 9), ("answered row written", 8)]
GENERATOR = [("call under way", 15), ("answer stored", 20), ("generation sent", 20)]
WORKER = [("decided", 3), ("half emitted", 3)]
RELEASING = policy_with(POLICY, failed_answer="releases")
FAILING = "fails"
"""The model of which every third answer is cut off."""


@contextmanager
def answering() -> Iterator[tuple[str, Counter[str]]]:
    """An endpoint that answers by the request alone; its URL, and how often each request came."""
    received: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            received[json.dumps(asked, sort_keys=True)] += 1
            raw = json.dumps(_reply(asked, cut=asked["model"] == FAILING and _third(asked))).encode()
            try:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:  # the client was killed
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Tests print nothing."""

    with running(BusyServer(("127.0.0.1", 0), Handler)) as url:
        yield url, received


def _third(asked: dict[str, Any]) -> bool:
    return hashlib.sha256(json.dumps(asked["messages"]).encode()).digest()[0] % 3 == 0


def _reply(asked: dict[str, Any], *, cut: bool) -> dict[str, Any]:
    messages = tuple(Message(message["role"], message["content"]) for message in asked["messages"])
    request = Request(messages=messages, sampling=Sampling(max_tokens=asked["max_tokens"]))
    place = CallPlace(lane="", number=0, step=0, attempt=1, request_id="")
    answer = asyncio.run(LoadModel().complete(request, place))
    message = {"role": "assistant", "content": answer.raw}
    choice = {"index": 0, "message": message, "finish_reason": "length" if cut else answer.finish_reason}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def start(settings: Settings, run: str, folder: Path, *, disturbed: bool) -> Crew:
    """A run with its generator, its worker and two answerers."""
    folder.mkdir()
    seeds = own_seeds()[:40]
    configure_run(settings, run, POLICY, seeds, versions={}, classifier=first_classifier(POLICY, seeds))
    crew = Crew(settings, run, folder)
    crew.add("worker", "worker", deaths=WORKER if disturbed else ())
    generating = ("generate", "--style", "two-step", "--concurrency", "3", "--max-ahead", "none")
    deaths = GENERATOR if disturbed else ()
    crew.add("generator", *generating, "--max-generations", str(GENERATIONS), deaths=deaths)
    for number, dying in enumerate((FIRST, SECOND), start=1):
        asking = ("answer", "--style", "two-step", "--in-flight", "3", "--share", f"{number}/2")
        crew.add(f"answerer-{number}", *asking, deaths=dying if disturbed else ())
    return crew


def events(settings: Settings, run: str, topic: str, kind: type[Event]) -> list[Event]:
    """The events of a topic, each once, in order, without what measures time."""
    with LogReader(settings, run, [topic]) as reader:
        records = [record for record in reader.read_to_end() if isinstance(record.event, kind)]
    found: dict[str, Event | None] = {}
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        found.setdefault(record.id, record.event)
    return [_timeless(event) for event in found.values() if event is not None]


def _timeless(event: Event) -> Event:
    if not isinstance(event, InstructionsGenerated | InstructionAnswered):
        return event
    answers = tuple(msgspec.structs.replace(answer, latency_s=0.0, attempt=1) for answer in event.answers)
    return msgspec.structs.replace(event, answers=answers)


def finish(settings: Settings, run: str, crew: Crew) -> Audit:
    def count(topic: str, kind: type[Event]) -> int:
        return len(events(settings, run, topic, kind))

    crew.wait(lambda: crew.members["generator"].done, 240, "the generator ends")
    generated = count("generated", InstructionsGenerated)
    crew.wait(lambda: count("rejected", InstructionsRejected) == generated, 90, "all is decided")
    kept = count("kept", InstructionKept)
    crew.wait(lambda: count("answered", InstructionAnswered) == kept, 120, "all kept rows are answered")
    assert [crew.end(name) for name in ("answerer-1", "answerer-2")] == [0, 0]
    assert crew.end("worker") in (0, 130, 143)
    audited = audit(KafkaSource(settings, run))
    assert (audited.divergences, audited.unreadable, audited.unanswered) == (0, {}, 0), audited.first
    return audited


@pytest.mark.timeout(900)
def test_kills_change_nothing_and_no_answer_is_asked_for_twice_but_those_that_were_lost(
    settings: Settings, run: str, tmp_path: Path
) -> None:
    rng = random.Random(7)
    killed, calm = f"{run}-killed", f"{run}-calm"
    with temporary_broker(settings) as broker, answering() as (url, received):
        asking = {"backend": "openai", "base_url": url, "model": "m", "api": "chat", "api_key": "k"}
        used = type(settings)(**{**broker.settings.model_dump(), **asking})
        crew = start(used, calm, tmp_path / "calm", disturbed=False)
        try:
            undisturbed = finish(used, calm, crew)
        finally:
            crew.stop()
        received.clear()
        crew = start(used, killed, tmp_path / "killed", disturbed=True)
        try:

            def answered(rows: int) -> None:
                done = lambda: len(events(used, killed, "answered", InstructionAnswered)) >= rows  # noqa: E731
                crew.wait(done, 120, f"{rows} rows are answered")

            answered(rng.randrange(20, 40))
            crew.kill("answerer-1")
            answered(rng.randrange(50, 70))
            broker.kill()
            broker.restart()
            answered(rng.randrange(80, 100))
            crew.kill("worker")
            crew.kill("answerer-2")
            disturbed = finish(used, killed, crew)
        finally:
            crew.stop()

        expected = Counter(name for deaths in (FIRST, SECOND, GENERATOR, WORKER) for name, _ in deaths)
        marks = Counter(crew.marks())
        assert marks <= expected and marks.total() >= expected.total() - 3, marks  # a plain kill may come first
        assert set(points_of("answer")) <= set(marks), "a point that nobody dies at proves nothing"
        topics = {"generated", "kept", "rejected", "answered"}
        assert {topic: disturbed.digests[topic] for topic in topics} == {
            topic: undisturbed.digests[topic] for topic in topics
        }
        for topic, kind in (("kept", InstructionKept), ("answered", InstructionAnswered)):
            assert events(used, killed, topic, kind) == events(used, calm, topic, kind), topic

        ledger = Ledger()
        with LogReader(used, killed, ["calls"]) as reader:
            records = list(reader.read_to_end())
        for record in records:
            assert record.event is not None
            ledger.apply(record.event, record.id)
        rows = len(events(used, killed, "kept", InstructionKept))
        assert rows > 150 and ledger.answered == GENERATIONS + rows, "one call a list, one a kept row"
        assert ledger.repeated == ledger.open == 0
        failed = sum(isinstance(record.event, CallFailed) for record in records)
        started = sum(isinstance(record.event, CallStarted) for record in records)
        assert ledger.lost <= started - ledger.answered <= ledger.lost + failed
        assert ledger.answered <= received.total() <= ledger.answered + ledger.lost + failed


@pytest.mark.timeout(300)
def test_a_filter_that_dies_beside_its_releases_leaves_a_log_that_follows_from_them(
    broker: TemporaryBroker, run: str, tmp_path: Path
) -> None:
    """When an answer comes depends on the deaths, so the log is audited, and not compared with another run's."""
    deaths = [("release made", 2), ("release emitted", 2), ("decided", 4)]
    with answering() as (url, _):
        asking = {"backend": "openai", "base_url": url, "model": FAILING, "api": "chat", "api_key": "k"}
        used = Settings(**{**broker.settings.model_dump(), **asking})
        seeds = own_seeds()[:40]
        configure_run(used, run, RELEASING, seeds, versions={}, classifier=first_classifier(RELEASING, seeds))
        crew = Crew(used, run, tmp_path)
        try:
            crew.add("worker", "worker", deaths=deaths)
            generating = ("generate", "--style", "two-step", "--concurrency", "3", "--max-unanswered", "12")
            crew.add("generator", *generating, "--max-ahead", "none", "--max-generations", "64")
            for number in (1, 2):
                crew.add(f"answerer-{number}", "answer", "--style", "two-step", "--share", f"{number}/2")
            audited = finish(used, run, crew)
        finally:
            crew.stop()
        assert crew.marks() == [name for name, _ in deaths] and set(points_of("releases")) <= set(crew.marks())
        found = events(used, run, "run", InstructionsReleased)
        released = [event for event in found if isinstance(event, InstructionsReleased)]
        assert [event.from_offset for event in released] == list(range(8, 64, 8))
        assert audited.checked["releases"] == 7 and any(event.ids for event in released)
        rejected = events(used, run, "rejected", InstructionsRejected)
        assert [event.generated_offset for event in rejected if isinstance(event, InstructionsRejected)] == [*range(64)]
