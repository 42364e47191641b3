"""Requests that follow what was kept, end to end: two lanes and a restart, a real worker, replay, and explanations."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.explain.story import explain
from consumers.replay import audit
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.source import KafkaSource
from producers.backends.base import Answer, CallPlace, Request
from producers.backends.load_model import LoadModel
from producers.calls.limits import Limits
from producers.generate.generator import GenerateOptions, generate
from producers.generate.style_factory import StyleInUse
from schemas import ids
from schemas.events import CallStarted, InstructionKept, InstructionsGenerated
from schemas.policy import policy_for
from sedi.rebuilt_prompts import with_prompts
from tests.integration.worker.driver import Rig

GENERATIONS = 70
POLICY = policy_for(
    answer="kept",
    threshold=0.35,  # the yield falls at once
    feedback=False,
    seed_choice="thompson",
    adapt=("temperature", "list_length"),
    hints=3,
)


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> Iterator[Rig]:
    settings = broker.settings.model_copy(update={"backend": "load-model", "state_dir": tmp_path})
    rig = Rig(type(settings)(**settings.model_dump()), run, POLICY, tmp_path)
    rig.configure()
    yield rig
    rig.stop_workers()


def test_a_steered_run_stands_the_audit_and_is_explained(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[tuple[str, int], Request] = {}
    complete = LoadModel.complete

    async def recording(self: LoadModel, request: Request, place: CallPlace) -> Answer:
        sent[place.lane, place.number] = request
        return await complete(self, request, place)

    monkeypatch.setattr(LoadModel, "complete", recording)
    rig.start_worker()
    # The limit is of the run.
    for lane, generations in (("one", GENERATIONS // 2), ("two", 3 * GENERATIONS // 2), ("one", 2 * GENERATIONS)):
        options = GenerateOptions(
            run=rig.run,
            lane=lane,
            style=StyleInUse(style="two-step"),
            limits=Limits(max_generations=generations, max_filter_lag=4),
            concurrency=4,
            in_flight=4,
        )
        generate(options, rig.settings)
    rig.wait_decided(2 * GENERATIONS - 1)

    records = rig.records("generated", "calls", "kept")
    made = {(e.lane, e.number): e for r in records if isinstance(e := r.event, InstructionsGenerated)}
    offsets = {(e.lane, e.number): r.offset for r in records if isinstance(e := r.event, InstructionsGenerated)}
    kept = {e.id: e for r in records if isinstance(e := r.event, InstructionKept)}
    starts = {(e.lane, e.number): e for r in records if isinstance(e := r.event, CallStarted)}
    assert len(made) == 2 * GENERATIONS
    assert {place: start.steering for place, start in starts.items()} == {p: e.steering for p, e in made.items()}
    for place, event in made.items():
        steering = event.steering
        assert steering is not None
        assert -1 <= steering.as_of < offsets[place]
        assert len({kept[id].cluster for id in steering.hint_ids}) <= 1, "of one cluster"
        assert all(kept[id].generated_offset <= steering.as_of for id in steering.hint_ids)
    latest = made["one", GENERATIONS - 1]
    assert latest.steering is not None
    assert len(latest.steering.hint_ids) == POLICY.hints
    steps = (latest.steering.temperature, latest.steering.list_length)
    assert steps in ((1.1, 5), (1.2, 4)), "two steps or three, of 0.9 and of seven"

    source = KafkaSource(rig.settings, rig.run)
    found = audit(source)
    assert found.divergences == 0, found.found[:3]

    for place in (("one", 0), ("two", GENERATIONS // 2), ("one", GENERATIONS - 1)):
        explained = with_prompts(explain(source, ids.generation_id(*place)))
        assert explained.made is not None
        story = explained.made.generation
        assert story is not None
        assert story.sampled_as_told
        assert story.steering is not None
        assert [seed.id for seed in story.steering.brought] == list(made[place].seed_ids)
        (prompt,) = explained.prompts
        assert prompt.messages is not None
        assert [m.content for m in prompt.messages] == [m.content for m in sent[place].messages]
        assert prompt.stop == sent[place].stop
    assert sent["one", GENERATIONS - 1].sampling.temperature == latest.steering.temperature
