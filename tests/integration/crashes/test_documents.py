"""A generator from documents is killed anywhere, and its run is the one that nobody disturbed."""

from pathlib import Path

import msgspec
import pytest

from consumers.replay import audit
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.settings import Settings
from schemas.events import CallStarted, Event, InstructionKept, InstructionsGenerated, InstructionsRejected
from schemas.policy import policy_for
from streams.core.decider import first_classifier
from streams.core.ledger import Ledger
from tests.harness.crew import Crew
from tests.harness.victims import points_of
from tests.integration.crashes.rig import CrashRig
from tests.integration.producers.document_driver import CANDIDATES, add, candidate
from tests.unit.core.conftest import own_seeds

# A random model gives no gain worth a limit.
POLICY = policy_for(clusters=4, batch_size=4, refit_from=8, feedback=False, gain_at_least=None)
DOCUMENTS = 12
DEATHS = [
    ("call announced", 3),  # the third candidate of a generation
    ("call under way", 2),
    ("answer in hand", 3),
    ("answer stored", 7),
    ("scoring begins", 2),
    ("scored", 3),
    ("answer in hand", 12),
    ("answer stored", 12),
    ("generation sent", 2),
    ("generation written", 3),
    ("scored", 1),
]


def start(settings: Settings, run: str, folder: Path, scorer: Path, deaths: list[tuple[str, int]]) -> Crew:
    """A run with documents, its worker and its generator."""
    folder.mkdir(exist_ok=True)
    seeds = own_seeds()[:24]
    configure_run(settings, run, POLICY, seeds, versions={}, classifier=first_classifier(POLICY, seeds))
    add(settings, run, range(DOCUMENTS))
    lines = [
        msgspec.json.encode({"raw": candidate(line), "usage": {"prompt_tokens": 9, "completion_tokens": 9}})
        for line in range(400)
    ]
    (folder / "answers.jsonl").write_bytes(b"\n".join(lines))
    crew = Crew(settings, run, folder)
    crew.add("worker", "worker")
    crew.add(
        *("generator", "generate", "--producer", "goliath", "--lane", "documents", "--recorded", "answers.jsonl"),
        *("--candidates", str(CANDIDATES), "--strategies", "random=1,salient=1", "--segment-words", "15-60"),
        *("--per-document", "4", "--scorer", str(scorer), "--scorer-threads", "1", "--concurrency", "3"),
        deaths=deaths,
    )
    return crew


def events(settings: Settings, run: str, topic: str, kind: type[Event]) -> list[Event]:
    """The events of a topic, each once, in order, without what measures time."""
    with LogReader(settings, run, [topic]) as reader:
        records = [record for record in reader.read_to_end() if isinstance(record.event, kind)]
    found = {
        record.id: record.event for record in sorted(records, key=lambda record: (record.partition, record.offset))
    }
    return [_timeless(event) for event in found.values() if event is not None]


def _timeless(event: Event) -> Event:
    if not isinstance(event, InstructionsGenerated):
        return event
    answers = tuple(msgspec.structs.replace(answer, latency_s=0.0, attempt=1) for answer in event.answers)
    return msgspec.structs.replace(event, answers=answers)


def finish(settings: Settings, run: str, crew: Crew) -> None:
    crew.wait(lambda: crew.members["generator"].done, 300, "the generator ends")

    def decided() -> bool:
        return len(events(settings, run, "rejected", InstructionsRejected)) == len(
            events(settings, run, "generated", InstructionsGenerated)
        )

    crew.wait(decided, 60, "all is decided")
    assert crew.end("worker") in (0, 130, 143)


@pytest.mark.timeout(600)
def test_deaths_anywhere_change_nothing_and_no_answer_is_asked_for_twice(rig: CrashRig, tmp_path: Path) -> None:
    settings, killed, calm = rig.settings, f"{rig.run}-killed", f"{rig.run}-calm"
    crews = [
        start(settings, run, tmp_path / run, rig.trainee, deaths) for run, deaths in ((killed, DEATHS), (calm, []))
    ]
    try:
        for run, crew in zip((killed, calm), crews, strict=True):
            finish(settings, run, crew)
    finally:
        for crew in crews:
            crew.stop()

    assert crews[0].marks() == [name for name, _ in DEATHS] and crews[0].failed == 0
    assert set(points_of("documents")) <= set(crews[0].marks()), "a point that nobody dies at proves nothing"
    for topic, kind in (
        ("generated", InstructionsGenerated),
        ("kept", InstructionKept),
        ("rejected", InstructionsRejected),
    ):
        expected = events(settings, calm, topic, kind)
        assert events(settings, killed, topic, kind) == expected, topic
        assert len(expected) >= 5
    ledger = Ledger()
    with LogReader(settings, killed, ["calls"]) as reader:
        records = list(reader.read_to_end())
    for record in records:
        assert record.event is not None
        ledger.apply(record.event, record.id)
    generations = len(events(settings, killed, "generated", InstructionsGenerated))
    assert ledger.answered == generations * (CANDIDATES + 1) and ledger.repeated == ledger.open == 0
    assert 0 < ledger.lost == sum(isinstance(r.event, CallStarted) for r in records) - ledger.answered
    audited = audit(KafkaSource(settings, killed))
    assert audited.divergences == 0, audited.first
