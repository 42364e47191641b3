"""What a lane knows goes on from a snapshot as if there had been none."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.log.record import Record
from producers.generate.progress import LaneProgress
from producers.generate.progress_reader import lane_form
from producers.generate.yield_window import YieldWindow
from schemas import ids
from schemas.events import CallFailed, CallStarted
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
