"""A steered generation asks the same again after a restart; an audit finds a steering that was altered."""

import random
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from consumers.replay.findings import AuditState, Findings
from consumers.replay.generations import PoolHistory, check_shown
from infra.log.record import Record
from infra.settings import Settings
from producers.generate.progress import LaneProgress
from producers.generate.steering_fold import SteeringFold
from producers.generate.steering_reader import check_resumed
from producers.generate.style_factory import StyleInUse, check_steering, style_of
from producers.generate.styles import SteeredRequest
from producers.prompts import alpaca, self_instruct, two_step
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import CallStarted, InstructionKept, InstructionsRejected, Steering
from schemas.policy import policy_for
from streams.core.seeds import SeedPool
from tests.unit.core.conftest import generation, own_seeds
from tests.unit.producers.memory_log import MemoryLog, configured

POLICY = policy_for(seed_choice="thompson", adapt=("temperature", "list_length"), hints=2)
PARAMETERS = {"list_temperature": 0.9, "asked": 7}
POOL = SeedPool.of(own_seeds())
POOL_IDS = [seed.task.id for seed in POOL.active]
OFFSET, NUMBER, AS_OF = 30, 30, 25


def written() -> list[Record]:
    """Generations of ten instructions, of which two are kept, in the order that the filter and a lane write them."""
    log, records = MemoryLog(), []
    for offset in range(OFFSET):
        seed_ids = tuple(POOL_IDS[(offset + n) % len(POOL_IDS)] for n in range(3))
        event = generation(offset, [f"Do {offset}/{n}." for n in range(10)], lane="main", seed_ids=seed_ids)
        id = ids.generation_id("main", offset)
        records.append(log.send(event, key=id, id=id))
        for place in range(2):
            row = InstructionKept(
                id=ids.instruction_id(id, place),
                instruction=f"Do {offset}/{place}.",
                input="",
                output="",
                generation_id=id,
                generated_offset=offset,
                place=place,
                cluster=offset % 4,
                classifier_offset=0,
            )
            records.append(log.send(row, key=row.id, id=row.id, partition=row.cluster))
        verdict = InstructionsRejected(
            generation_id=id,
            generated_offset=offset,
            rejections=(),
            generated=10,
            kept=2,
            generated_total=10 * (offset + 1),
            kept_total=2 * (offset + 1),
        )
        records.append(log.send(verdict, key=id, id=ids.verdict_id(offset)))
    return records


def folded(records: list[Record]) -> SteeringFold:
    fold = SteeringFold(POLICY)
    for record in records:
        fold.apply(record)
    return fold


def test_topics_may_interleave_in_any_order_and_repeats_change_nothing() -> None:
    records, rng = written(), random.Random(3)
    queues = {
        name: [record for record in records if record.topic == name] for name in ("generated", "kept", "rejected")
    }
    mixed = []
    while some := [queue for queue in queues.values() if queue]:
        mixed += [rng.choice(some).pop(0)] * 2
    one, other = folded(records).history, folded(mixed).history
    assert one.as_of == other.as_of == OFFSET - 1
    for as_of in range(-1, OFFSET):
        assert one.steering("two-step", PARAMETERS, "a", 4, as_of) == other.steering(
            "two-step", PARAMETERS, "a", 4, as_of
        )
        assert one.choose(POOL_IDS, "a", 4, as_of) == other.choose(POOL_IDS, "a", 4, as_of)
    without_rows = folded([record for record in records if record.topic != "kept"]).history
    assert without_rows.as_of == -1, "hints wait for the rows"


def test_the_first_call_fixes_the_steering_until_the_generation_is_written() -> None:
    progress, log = LaneProgress("main", configured(POLICY)), MemoryLog()
    steering = Steering(as_of=4, temperature=1.1, list_length=5, hint_ids=("a",))
    for as_of in (4, 9):
        start = CallStarted(
            request_id="r",
            attempt=1 + (as_of > 4),
            generation_id="g",
            lane="main",
            number=0,
            step=0,
            backend="b",
            model="m",
            steering=msgspec.structs.replace(steering, as_of=as_of),
        )
        log.send(start, key="r", id=ids.child(ids.run_id("r"), f"{as_of}"), causation_id=ids.run_id("r"))
    assert log.refresh(progress).steerings == {0: steering}
    check_resumed(steering, steering, 0)
    with pytest.raises(ConfigurationError, match="--asked"):
        check_resumed(steering, msgspec.structs.replace(steering, list_length=4), 0)
    event = generation(0, ["Do it."], lane="main")
    log.send(event, key="g", id=ids.generation_id("main", 0))
    assert log.refresh(progress).steerings == {}


def divergences(**changes: object) -> list[str]:
    history = folded(written()).history
    asked = history.steering("two-step", PARAMETERS, "main", NUMBER, AS_OF)
    assert asked.temperature == 1.0, "a fifth is kept"
    seed_ids = tuple(POOL_IDS[slot] for slot in history.choose(POOL_IDS, "main", NUMBER, AS_OF))
    event = generation(NUMBER, ["Sing."], lane="main", seed_ids=seed_ids)
    event = msgspec.structs.replace(event, style="two-step", parameters=PARAMETERS, steering=asked)
    if "seed_ids" in changes:
        event = msgspec.structs.replace(event, **changes)
    elif changes:
        altered = None if "steering" in changes else msgspec.structs.replace(asked, **changes)
        event = msgspec.structs.replace(event, steering=altered)
    state = AuditState(
        applied=OFFSET - 1, kept_total=0, generated_total=0, classifier_offset=0, commands_offset=None, seeds=None
    )
    findings = Findings(lambda: state)
    record = cast(Record, SimpleNamespace(topic="generated", partition=0, offset=OFFSET, id="g", timestamp_ms=0))
    check_shown(findings, record, event, POLICY, PoolHistory(POOL), (), history)
    return [found.kind for found in findings.divergences]


@pytest.mark.parametrize(
    "changes", [{"temperature": 1.1}, {"list_length": None}, {"hint_ids": ()}, {"as_of": OFFSET}, {"steering": None}]
)
def test_an_altered_steering_is_found(changes: dict[str, object]) -> None:
    assert divergences() == []
    assert divergences(**changes) == ["steering"]


def test_the_seeds_of_a_uniform_draw_are_found() -> None:
    sample = POOL.sample(POLICY.seeds_per_request, POLICY.rng_seed, "main", NUMBER)
    assert divergences(seed_ids=tuple(seed.id for seed in sample)) == ["seeds_shown"]


@pytest.mark.parametrize("form", ["chat", "completion"])
def test_hints_are_in_the_prompt_once_and_nothing_changes_without(form: str) -> None:
    seeds, hints = own_seeds()[:3], ("Sing a  song:", "Name a bird.")
    texts = [seed.instruction for seed in seeds]
    for build, shown in (
        (alpaca.request, seeds),
        (two_step.list_request, texts),
        (self_instruct.bootstrap_request, texts),
    ):
        request = build(shown, form, hints=hints)  # type: ignore[operator]
        assert request.text.count("- Sing a song\n- Name a bird.\n\n") == 1
        assert build(shown, form, hints=()) == build(shown, form)  # type: ignore[operator]


def test_a_steered_list_has_its_temperature_and_length_and_alpaca_is_refused() -> None:
    style = style_of(StyleInUse(style="two-step"), Settings(backend="openai", model="m", api="chat"), "kept")
    request = style.build_list(["Sing."], SteeredRequest(1.2, 4))  # type: ignore[attr-defined]
    assert request.sampling.temperature == 1.2
    assert "numbered from 2 to 5" in request.text
    check_steering(POLICY, "two-step")
    with pytest.raises(ConfigurationError, match="adapt"):
        check_steering(POLICY, "alpaca")
