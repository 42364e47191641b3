"""A generator's knowledge of its run is a fold of the log, in any order between topics, deduplicated."""

import random

import pytest

from producers.generate.progress import LaneProgress
from schemas import ids
from schemas.events import (
    BatchRow,
    CallAnswered,
    CallStarted,
    Event,
    InstructionsGenerated,
    InstructionsRejected,
    Replacement,
    ReplaceSeeds,
    StepLogged,
    TrainingLogged,
)
from schemas.seeds import SeedTask
from tests.unit.producers.memory_log import MemoryLog, configured


def started(number: int, step: int = 0, attempt: int = 1, lane: str = "main") -> CallStarted:
    generation = ids.generation_id(lane, number)
    return CallStarted(
        request_id=ids.request_id(generation, step),
        attempt=attempt,
        generation_id=generation,
        lane=lane,
        number=number,
        step=step,
        backend="b",
        model="m",
    )


def answered(call: CallStarted) -> CallAnswered:
    return CallAnswered(
        request_id=call.request_id,
        attempt=call.attempt,
        model="m",
        raw=f"answer {call.number}",
        finish_reason="stop",
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


def generated(number: int, lane: str = "main", style: str = "alpaca") -> InstructionsGenerated:
    return InstructionsGenerated(
        lane=lane,
        number=number,
        style=style,
        parser="strict",
        backend="b",
        model="m",
        parameters={},
        seed_ids=(),
        seed_commands_offset=-1,
        answers=(),
        instructions=(),
        unparsed=(),
        cost_usd=None,
    )


def rejected(offset: int, kept_total: int) -> InstructionsRejected:
    return InstructionsRejected(
        generation_id="g",
        generated_offset=offset,
        rejections=(),
        generated=0,
        kept=0,
        generated_total=0,
        kept_total=kept_total,
    )


def replaced(window: int, victim: str, by: str) -> ReplaceSeeds:
    seed = SeedTask(id=by, instruction="A new thing.")
    return ReplaceSeeds(
        window=window,
        epoch=1,
        training_offset=window,
        as_of_offset=0,
        outcome="replaced",
        metric="grad_norm",
        replacements=(Replacement(victim_id=victim, victim_generated=1, victim_kept=0, seed=seed),),
    )


def trained(window: int, clusters: tuple[int, ...], epoch: int = 1) -> TrainingLogged:
    rows = tuple(BatchRow(id="i", slot=0, cluster=cluster, generated_offset=7 * window) for cluster in clusters)
    step = StepLogged(
        step=1, loss=1.0, loss_variance=0.0, grad_norm=1.0, learning_rate=0.1, tokens=1, seconds=1.0, rows=rows
    )
    return TrainingLogged(window=window, epoch=epoch, model="m", steps=(step,))


def write(log: MemoryLog, event: Event, cause: str | None = None) -> None:
    match event:
        case CallStarted():
            id = ids.child(event.request_id, f"started/{event.attempt}")
        case CallAnswered():
            id = ids.child(event.request_id, f"answered/{event.attempt}")
        case ReplaceSeeds():
            id = ids.command_id(event.training_offset)
        case InstructionsGenerated():
            id = ids.generation_id(event.lane, event.number)
        case _:
            id = ids.run_id(repr(event))
    log.send(event, key="k", id=id, causation_id=cause)


def progress_of(*events: Event) -> LaneProgress:
    log = MemoryLog()
    for event in events:
        write(log, event)
    return log.refresh(LaneProgress("main", configured()))


def test_the_next_number_follows_the_lanes_last_on_the_log() -> None:
    progress = progress_of(generated(0), generated(0, "other"), generated(1), generated(1), generated(1, "other"))
    assert progress.next_number == 2
    assert progress.generations == 4
    assert progress.generated_end == 5


def test_a_number_that_was_missing_counts_once_and_moves_nothing_back() -> None:
    before = [generated(0), generated(2), started(3), answered(started(3))]
    progress = progress_of(*before, generated(1, style="two-step"), generated(1))
    assert (progress.next_number, progress.generations, progress.style) == (3, 3, "alpaca")
    assert len(progress.answers) == 1


def test_an_unfinished_generations_answers_are_remembered_and_a_finished_ones_are_not() -> None:
    calls = [started(0), started(1), started(2), started(0, lane="other")]
    progress = progress_of(*calls, *(answered(call) for call in calls), generated(0))
    assert {event.raw for event in progress.answers.values()} == {"answer 1", "answer 2"}
    assert len(progress.answers) == 2
    assert progress.unfinished() == 2


def test_the_next_attempt_follows_the_last_that_was_started() -> None:
    progress = progress_of(started(0), started(0, attempt=2))
    assert progress.next_attempt(started(0).request_id) == 3
    assert progress.next_attempt(started(1).request_id) == 1


def test_the_filters_lag_is_what_it_has_not_decided() -> None:
    assert progress_of().filter_lag == 0
    progress = progress_of(generated(0), generated(1), generated(2), rejected(0, 5), rejected(1, 8), rejected(0, 5))
    assert progress.filter_lag == 1
    assert progress.kept_total == 8


def test_rows_of_the_first_epoch_are_counted_by_cluster_once() -> None:
    progress = progress_of(trained(0, (0, 1)), trained(1, (1, 1)), trained(1, (1, 1)), trained(0, (0, 0), epoch=2))
    assert progress.trained == {0: 1, 1: 3}
    assert progress.trained_to == {0: 0, 1: 7}
    assert progress.window_count == 2
    progress.kept_total = 9
    assert progress.untrained_at_most == 5


def test_new_generations_are_shown_the_seeds_in_force() -> None:
    progress = progress_of(*(replaced(n, f"s{n}", f"n{n}") for n in range(20)))
    seeds, offset, cause = progress.seeds_of(0)
    assert {seed.id[0] for seed in seeds} == {"n"}
    assert (offset, cause) == (19, ids.command_id(19))


def test_without_a_command_the_seeds_are_the_runs_own() -> None:
    seeds, offset, cause = progress_of().seeds_of(0)
    assert len({seed.id for seed in seeds}) == 3
    assert (offset, cause) == (-1, ids.run_id("r"))


@pytest.mark.parametrize("begun_at", [-1, 0, 1])
def test_a_generation_begun_is_finished_with_the_seeds_it_was_begun_with(begun_at: int) -> None:
    log = MemoryLog()
    progress = LaneProgress("main", configured())
    for window in range(3):
        if window == begun_at + 1:
            before = log.refresh(progress).seeds_of(0)
            write(log, started(0), before[2])
        for slot in range(6):
            write(log, replaced(10 * window + slot, f"s{6 * window + slot}", f"n{6 * window + slot}"))
    write(log, started(0, attempt=2), ids.command_id(25))
    again = log.refresh(LaneProgress("main", configured()))
    assert again.seeds_of(0) == log.refresh(progress).seeds_of(0) == before
    assert again.seeds_of(1) != before


def test_the_order_between_topics_does_not_matter() -> None:
    log = MemoryLog()
    for number in range(6):
        write(log, started(number), ids.run_id("r"))
        write(log, answered(started(number)))
        write(log, rejected(number, number))
        if number < 4:
            write(log, generated(number))
    expected = log.refresh(LaneProgress("main", configured()))
    by_topic: dict[str, list[object]] = {}
    for record in log.records:
        by_topic.setdefault(record.topic, []).append(record)
    rng = random.Random(1)
    for _ in range(50):
        left = {topic: list(records) for topic, records in by_topic.items()}
        progress = LaneProgress("main", configured())
        while left:
            topic = rng.choice(sorted(left))
            progress.apply(left[topic].pop(0))  # type: ignore[arg-type]
            if not left[topic]:
                del left[topic]
        assert progress.answers == expected.answers
        assert progress.attempts() == expected.attempts()
        assert (progress.next_number, progress.filter_lag, progress.unfinished()) == (4, -2, 2)
