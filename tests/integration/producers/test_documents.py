"""A lane about documents on the real broker: what it writes, where it goes on, when it ends."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from producers.backends.recorded import RecordedOptions
from producers.calls.limits import Limits
from producers.generate.generator import GenerateOptions
from producers.generate.style_factory import StyleInUse
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered, CallStarted, InstructionsGenerated
from schemas.policy import policy_for
from streams.core.documents.spans import segment_text
from tests.integration.producers.document_driver import (
    CANDIDATES,
    add,
    candidate,
    document,
    documents_in_use,
    id_of,
    withdraw,
)
from tests.integration.producers.driver import Rig
from tests.unit.trainer.tiny import save_tiny


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("scorer") / "tiny"))


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    settings = broker.settings.model_copy(update={"backend": "recorded", "max_filter_lag": 100_000})
    rig = Rig(type(settings)(**settings.model_dump()), run, tmp_path)
    rig.configure(policy_for(batch_size=16, feedback=False))
    yield rig


def options(
    rig: Rig, scorer: str, limits: Limits | None = None, *, lane: str = "documents", **more: object
) -> GenerateOptions:
    file = rig.file([candidate(line) for line in range(600)])
    return GenerateOptions(
        run=rig.run,
        lane=lane,
        documents=documents_in_use(scorer, **more),
        recorded=RecordedOptions(file, per_generation=CANDIDATES, loop=True),
        limits=limits or Limits(),
        concurrency=4,
    )


def offsets(generations: list[InstructionsGenerated]) -> list[int]:
    return [event.segment.documents_offset for event in generations if event.segment is not None]


def test_each_segment_becomes_a_generation_with_candidates_and_scores_until_all_documents_are_used(
    rig: Rig, scorer: str
) -> None:
    add(rig.settings, rig.run, range(6))

    summary = rig.generate(options(rig, scorer))

    records, generations = rig.records("generated"), rig.generations()
    assert summary.ended == "all documents are used" and summary.generations == len(generations) > 10
    assert sorted(set(offsets(generations))) == [0, 1, 2, 3, 5] and offsets(generations) == sorted(offsets(generations))
    starts = {(event.number, event.step): event for event in rig.events("calls", CallStarted)}
    causes = [record.decoded.meta.causation_id for record in rig.records("calls") if record.decoded is not None]
    for record, event in zip(records, generations, strict=True):
        segment = event.segment
        assert segment is not None and (event.style, event.seed_ids) == ("documents", ())
        assert segment.text == segment_text(document(segment.documents_offset).text, segment.spans)
        assert segment.id in causes, "the first call names the segment"
        assert {task.output for task in event.instructions} == {segment.text}
        wanted = [candidate(line) for line in range(event.number * 3, event.number * 3 + 3) if line % 7 != 6]
        assert [task.instruction for task in event.instructions] == wanted
        assert event.scores is not None and len(event.scores.candidates) == len(wanted)
        assert all(event.scores.gain(place) is not None for place in range(len(wanted)))
        assert [answer.request_id for answer in event.answers] == [
            ids.request_id(record.id, step) for step in range(CANDIDATES + 1)
        ]
        assert starts[event.number, CANDIDATES].backend == event.scores.scorer.backend + "-scorer"
        assert starts[event.number, 0].backend == event.backend == "recorded"
        assert (event.parameters["candidates"], event.parameters["segment_words"]) == (CANDIDATES, "15-60")
        assert record.decoded is not None
        assert record.decoded.meta.causation_id == ids.child(event.answers[-1].request_id, "answered/1")
    assert all(event.usage is not None for event in rig.events("calls", CallAnswered)), "local tokens count too"
    again = rig.generate(options(rig, scorer))
    assert (again.generations, again.calls, again.ended) == (0, 0, "all documents are used")
    add(rig.settings, rig.run, [6])
    more = rig.generate(options(rig, scorer))
    assert more.generations > 0 and set(offsets(rig.generations()[len(generations) :])) == {6}


def test_it_goes_on_where_it_was_without_reading_from_the_beginning_and_skips_what_is_withdrawn(
    rig: Rig, scorer: str
) -> None:
    add(rig.settings, rig.run, range(4))
    found = undisturbed(rig, scorer)
    whole, within_the_second = [event.segment for event in found], offsets(found).index(1) + 1
    rig.generate(options(rig, scorer, Limits(max_generations=within_the_second)))
    assert [event.segment for event in rig.generations()] == whole[:within_the_second]
    withdraw(rig.settings, rig.run, 2)
    rig.generate(options(rig, scorer))
    left = [each for each in whole if each is not None and each.document_id != id_of(document(2))]
    assert [event.segment for event in rig.generations()] == left


def undisturbed(rig: Rig, scorer: str) -> list[InstructionsGenerated]:
    """The generations of all documents, in another run."""
    other = Rig(rig.settings, f"{rig.run}-u", rig.folder)
    other.configure(policy_for(batch_size=16, feedback=False))
    add(other.settings, other.run, range(4))
    other.generate(options(other, scorer))
    return other.generations()


def test_a_document_that_is_on_the_log_twice_is_used_once_before_and_after_a_restart(rig: Rig, scorer: str) -> None:
    add(rig.settings, rig.run, [0, 1, 0, 2])
    rig.generate(options(rig, scorer))
    assert sorted(set(offsets(rig.generations()))) == [0, 1, 3]
    add(rig.settings, rig.run, [1, 3, 3])
    rig.generate(options(rig, scorer))
    assert sorted(set(offsets(rig.generations()))) == [0, 1, 3, 5]
    segments = [event.segment.id for event in rig.generations() if event.segment is not None]
    assert len(set(segments)) == len(segments) == len(undisturbed(rig, scorer))


def test_two_lanes_share_the_documents(rig: Rig, scorer: str) -> None:
    add(rig.settings, rig.run, range(8))
    for place in (1, 2):
        rig.generate(options(rig, scorer, lane=f"machine-{place}", share=(place, 2)))
    by_lane = {
        lane: set(offsets([e for e in rig.generations() if e.lane == lane])) for lane in ("machine-1", "machine-2")
    }
    assert by_lane == {"machine-1": {0, 2, 6}, "machine-2": {1, 3, 5, 7}}


def test_begun_generations_are_refused_to_other_settings_and_to_the_other_producer(rig: Rig, scorer: str) -> None:
    add(rig.settings, rig.run, range(4))
    process = rig.start(options(rig, scorer))
    rig.wait_for("calls", 7)
    process.kill()
    process.wait(60)
    with pytest.raises(ConfigurationError, match="was begun about something else than these settings give it"):
        rig.generate(options(rig, scorer, share=(2, 2)))
    seeds = GenerateOptions(
        run=rig.run, lane="documents", style=StyleInUse(), recorded=RecordedOptions(rig.answers(50))
    )
    with pytest.raises(ConfigurationError, match=r"something else than seeds|in the style documents"):
        rig.generate(seeds)
    rig.generate(options(rig, scorer))
    assert rig.ledger().repeated == 0


def test_without_documents_it_says_how_to_add_some_and_a_lane_that_follows_waits_for_them(
    rig: Rig, scorer: str
) -> None:
    with pytest.raises(ConfigurationError, match="sedi corpus add"):
        rig.generate(options(rig, scorer))
    found = []
    follows = options(rig, scorer, Limits(max_generations=4), follow=True)
    thread = threading.Thread(target=lambda: found.append(rig.generate(follows)))
    thread.start()
    time.sleep(1.0)
    add(rig.settings, rig.run, [0])
    thread.join(60)
    assert found[0].generations == 4 and found[0].waited_s["documents"] > 0


def test_strategies_that_the_policy_rejects_are_refused(rig: Rig, broker: TemporaryBroker, scorer: str) -> None:
    rig = Rig(rig.settings, f"{rig.run}-p", rig.folder)
    rig.configure(policy_for(batch_size=16, strategies=("salient",), candidates=2))
    with pytest.raises(ConfigurationError, match="The strategies random are not among"):
        rig.generate(options(rig, scorer))
