"""What a lane knows goes on from a snapshot as if there had been none."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.log.record import Record
from producers.generate.kept_reader import kept_form
from producers.generate.progress import LaneProgress
from producers.generate.progress_reader import lane_form
from producers.generate.steering_reader import steering_form
from producers.generate.yield_window import YieldWindow
from schemas import ids
from schemas.events import (
    CallFailed,
    CallStarted,
    Instruction,
    InstructionKept,
    InstructionsRejected,
    KeptShown,
    Rejection,
)
from schemas.policy import policy_for
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_progress import answered, generated, rejected, replaced, started, trained, write


def history(rng: random.Random) -> MemoryLog:
    """What two lanes, a filter and a trainer may write: calls that fail, are lost or repeated, records twice."""
    log, number = MemoryLog(), {"main": 0, "other": 0}
    ends: dict[str, int] = {}  # the outcome of each call, should it be written again
    for turn in range(rng.randrange(1, 25)):
        lane = rng.choice(["main", "other"])
        calls = [
            started(number[lane] + ahead, step, lane=lane) for ahead in range(2) for step in range(rng.randrange(3))
        ]
        for call in calls:
            write(log, call, ids.run_id("r"))
            match ends.setdefault(call.request_id, rng.randrange(5)):
                case 0:
                    failed = CallFailed(
                        request_id=call.request_id, attempt=1, error="e", status=500, retry=rng.random() < 0.5
                    )
                    log.send(failed, key="k", id=ids.child(call.request_id, "failed/1"))
                case 1:
                    pass  # open, and lost once it is answered
                case _:
                    for _ in range(rng.randrange(1, 3)):
                        write(log, answered(call))
            if rng.random() < 0.3:
                again = msgspec.structs.replace(call, attempt=2)
                write(log, again, ids.run_id("r"))
                write(log, answered(again))
        if rng.random() < 0.7:
            write(log, generated(number[lane], lane))
            number[lane] += 1
        if rng.random() < 0.5:
            write(log, rejected(turn, turn))
        if rng.random() < 0.2:
            write(log, replaced(turn, f"s{turn % 20}", f"n{turn}"))
            write(log, trained(turn, (0, 1)))
    return log


def folded(progress: LaneProgress, records: list[Record]) -> LaneProgress:
    for record in records:
        progress.apply(record)
    return progress


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32).map(random.Random))
def test_going_on_from_a_snapshot_is_as_if_there_had_been_none(rng: random.Random) -> None:
    records = history(rng).records
    expected = folded(LaneProgress("main", configured(), rolling=YieldWindow(5)), records)
    cut = {topic: rng.randrange(len(records) + 1) for topic in ("calls", "generated", "rejected", "training-log")}
    before = [record for at, record in enumerate(records) if at < cut.get(record.topic, 0)]
    after = [record for at, record in enumerate(records) if at >= cut.get(record.topic, 0)]

    form = lane_form(configured(), "main", 5)
    found = folded(form.from_bytes(form.to_bytes(folded(form.begin(), before))), after)

    ledger = expected.ledger
    assert ledger.started == ledger.answered + ledger.failed + ledger.lost + ledger.open
    assert found.state() == expected.state()
    assert found.pool == expected.pool
    for number in range(expected.next_number, expected.next_number + 3):
        assert found.seeds_of(number) == expected.seeds_of(number)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32).map(random.Random))
def test_what_prompts_show_and_follow_goes_on_from_a_snapshot_made_anywhere(rng: random.Random) -> None:
    policy = policy_for("self-instruct", seed_choice="thompson", hints=3)
    records = decided(rng)
    cut = {topic: rng.randrange(len(records) + 1) for topic in ("calls", "generated", "rejected", "kept")}
    before = [record for at, record in enumerate(records) if at < cut[record.topic]]
    after = [record for at, record in enumerate(records) if at >= cut[record.topic]]
    choices, steerings = kept_form(configured(policy), "main"), steering_form(policy)
    whole, part = choices.begin(), choices.begin()
    steered, steered_part = steerings.begin(), steerings.begin()
    for record in records:
        whole.apply(record)
        steered.apply(record)
    for record in before:
        part.apply(record)
        steered_part.apply(record)
    part = choices.from_bytes(choices.to_bytes(part))
    steered_part = steerings.from_bytes(steerings.to_bytes(steered_part))
    for record in after:
        part.apply(record)
        steered_part.apply(record)

    pool = [f"s{number}" for number in range(20)]
    assert steered_part.history.as_of == steered.history.as_of
    for number in range(12):
        assert part.shown(number) == whole.shown(number)
        as_of = steered.history.as_of
        assert steered_part.history.choose(pool, "main", number, as_of) == steered.history.choose(
            pool, "main", number, as_of
        )
        assert steered_part.history.hints("main", number, as_of) == steered.history.hints("main", number, as_of)


def decided(rng: random.Random) -> list[Record]:
    """Generations of a lane that is under way, their calls, and what the filter kept of some, some of it twice."""
    log = MemoryLog()
    generations = rng.randrange(1, 12)
    for number in range(generations):
        call = started(number)
        shown = KeptShown(as_of=number - 2 if number > 1 else -1, ids=())
        write(log, msgspec.structs.replace(call, kept_shown=shown), ids.run_id("r"))
        write(log, answered(call))
        if number == generations - 1:
            break
        id = ids.generation_id("main", number)
        texts = tuple(Instruction(instruction=f"Say {number} and {place}") for place in range(4))
        seeds = tuple(f"s{rng.randrange(20)}" for _ in range(3))
        write(log, msgspec.structs.replace(generated(number), instructions=texts, seed_ids=seeds))
        if number >= generations - 2:
            continue
        kept = sorted(rng.sample(range(4), rng.randrange(5)))
        for place in kept:
            row = InstructionKept(
                id=ids.instruction_id(id, place),
                instruction=texts[place].instruction,
                input="",
                output="",
                generation_id=id,
                generated_offset=number,
                place=place,
                cluster=place % 2,
                classifier_offset=0,
            )
            for _ in range(rng.randrange(1, 3)):
                log.send(row, key=row.id, id=row.id)
        rejections = tuple(
            Rejection(id=ids.instruction_id(id, place), place=place, reason="similar")
            for place in range(4)
            if place not in kept
        )
        verdict = InstructionsRejected(
            generation_id=id,
            generated_offset=number,
            rejections=rejections,
            generated=4,
            kept=len(kept),
            generated_total=4 * (number + 1),
            kept_total=number,
        )
        log.send(verdict, key=id, id=ids.verdict_id(number))
    return log.records


def test_the_ledger_holds_what_is_under_way_and_not_what_was_ever_asked() -> None:
    progress = LaneProgress("main", configured())
    log = MemoryLog()
    write(log, started(0, step=1), ids.run_id("r"))  # nobody ever hears of this one again
    for number in range(6_000):
        write(log, started(number), ids.run_id("r"))
        write(log, answered(started(number)))
        write(log, generated(number))
        write(log, rejected(number, 0))
    log.refresh(progress)
    held = len(msgspec.json.encode(progress.state()))
    ledger = progress.ledger
    assert (ledger.started, ledger.answered, ledger.open, ledger.duplicates) == (6_001, 6_000, 1, 0)
    assert len(ledger.requests) < 1_100
    assert held < 500_000

    assert not ledger.apply(started(3), "again"), "a start from before the ledger's window is a duplicate"
    assert isinstance(started(3), CallStarted)
    assert ledger.duplicates == 1
