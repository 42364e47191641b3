"""What `tail` gives out: merged by time, and only what was asked for."""

import random
from collections.abc import Iterable

import msgspec
import pytest

from consumers.conditions import condition
from consumers.summary import summary
from consumers.tail import TailOptions, TimeMerge, as_line, wanted
from infra.log.record import Record
from schemas.errors import ConfigurationError
from schemas.registry import SPECS
from tests.unit.consumers.story import START_MS, record, short_run


def chosen(records: Iterable[Record], *where: str, types: Iterable[str] = ()) -> list[tuple[str, int]]:
    options = TailOptions(types=frozenset(types), where=tuple(condition(text) for text in where))
    return [(each.topic, each.offset) for each in records if wanted(each, options)]


def test_partitions_that_come_in_any_order_are_merged_by_time() -> None:
    records = list(short_run().records())
    shuffled = random.Random(3)
    for _ in range(20):
        queues: dict[tuple[str, int], list[Record]] = {}
        for each in records:
            queues.setdefault((each.topic, each.partition), []).append(each)
        merge = TimeMerge(set(queues))
        given: list[Record] = []
        while queues:
            partition = shuffled.choice(sorted(queues))
            merge.push(queues[partition].pop(0))
            if not queues[partition]:
                del queues[partition]
                merge.finish([partition])
            given += merge.ready()

        assert given == records


def test_nothing_is_given_out_while_a_partition_may_still_come_before_it() -> None:
    merge = TimeMerge({("run", 0), ("kept", 0)})
    merge.push(record("kept", 0, 0, START_MS))

    assert list(merge.ready()) == []

    merge.finish([("run", 0)])
    assert [each.topic for each in merge.ready()] == ["kept"]


def test_events_of_the_same_moment_come_as_cause_and_effect() -> None:
    merge = TimeMerge(set())
    for topic in ("rejected", "kept", "generated"):
        merge.push(record(topic, 0, 0, START_MS))

    assert [each.topic for each in merge.ready()] == ["generated", "kept", "rejected"]


def test_a_condition_looks_into_fields_lists_and_the_envelope() -> None:
    records = list(short_run().records())

    assert chosen(records, "cluster=1") == [("kept", 0), ("kept", 1)]
    assert chosen(records, "rejections.reason=too_short") == [("rejected", 1)]
    assert chosen(records, "seed_ids=new-1") == [("generated", 2)]
    assert chosen(records, "policy.mode=sedi") == [("run", 0)]
    assert chosen(records, "topic=training-log", "window=1") == [("training-log", 1)]
    assert chosen(records, "instructions.instruction=Task 0 of 1") == [("generated", 1)]
    assert chosen(records, "window=7") == []


def test_a_condition_compares_numbers_and_searches_text() -> None:
    records = list(short_run().records())

    assert chosen(records, "generated_offset>=1", "generated_offset<2", types=["InstructionKept"]) == [("kept", 1)]
    assert chosen(records, "cost_usd>0.4", "cost_usd<=0.50", "number>1") == [("generated", 2)]
    assert chosen(records, "cost_usd=0.50", "number=0", "topic!=calls") == [("generated", 0)]
    assert chosen(records, "instructions.instruction~^Task [01] of 1$") == [("generated", 1)]
    assert chosen(records, "offset>0", "topic~^seed") == [("seed-commands", 1)]
    assert chosen(records, "instructions.instruction>1") == []


def test_unequal_means_that_the_field_is_there_and_none_of_it_is_that() -> None:
    records = list(short_run().records())

    assert chosen(records, "rejections.reason!=similar") == [("rejected", 1)]
    assert chosen(records, "cluster!=1") == [("kept", 0), ("kept", 1)]
    assert chosen(records, "cluster!=1", "generated_offset!=0") == [("kept", 1)]
    assert chosen(records, "seed_ids!=seed-1") == [("generated", 2)]


def test_what_is_asked_for_by_type_is_told_without_decoding() -> None:
    (told,) = [each for each in short_run().records() if each.topic == "run"]
    damaged = Record(told.topic, 0, 0, START_MS, told.key, b"no JSON", told.headers)

    assert not wanted(damaged, TailOptions(types=frozenset({"RunStopped"})))
    assert wanted(damaged, TailOptions())
    assert damaged._error is None  # nobody has decoded it
    assert not wanted(damaged, TailOptions(types=frozenset({"RunConfigured"})))


def test_only_topics_that_can_hold_the_types_are_read() -> None:
    assert TailOptions(types=frozenset({"CallStarted", "CallFailed"})).topics_read == ("calls",)
    assert TailOptions(topics=("kept", "kept.dlq"), types=frozenset({"RunStopped"})).topics_read == ("kept.dlq",)


def test_types_choose_events() -> None:
    records = list(short_run().records())

    assert chosen(records, types=["ReplaceSeeds"]) == [("seed-commands", 0), ("seed-commands", 1)]


def test_a_record_that_cannot_be_read_is_shown_unless_something_else_is_asked_for() -> None:
    bad = record("generated", 0, 5, START_MS, key=b"\xff", value=b"?")

    assert chosen([bad]) == [("generated", 5)]
    assert chosen([bad], "topic=generated") == []
    line = as_line(bad)
    assert line["type"] is None
    assert "no ce_type header" in line["error"]


def test_a_line_holds_place_envelope_and_event() -> None:
    line = msgspec.json.decode(msgspec.json.encode(as_line(next(short_run().records()))))

    assert (line["topic"], line["offset"], line["type"], line["version"]) == ("run", 0, "RunConfigured", 4)
    assert line["data"]["policy"]["clusters"] == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"topics": ("kpet",)}, "There is no topic 'kpet'"),
        ({"types": frozenset({"Kept"})}, "There is no event type 'Kept'"),
        ({"where": (condition("clutser=1"),)}, "No event has a field 'clutser'"),
        ({"topics": ("kept",), "types": frozenset({"RunStopped"})}, "RunStopped is on run"),
        ({"where": (condition("cluster=1"),), "types": frozenset({"RunStopped"})}, "No event has a field 'cluster'"),
    ],
)
def test_what_would_match_nothing_for_ever_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        TailOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cluster", "is not FIELD=VALUE"),
        ("=3", "is not FIELD=VALUE"),
        ("a..b=3", "is not FIELD=VALUE"),
        ("cluster!3", "is not FIELD=VALUE"),
        ("cost_usd>much", "'much', which is no number"),
        ("instruction~f(", r"is no regular expression .*: f\\\($"),
    ],
)
def test_a_condition_that_is_none_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        condition(text)


def test_every_event_has_a_line_for_people() -> None:
    story = short_run()
    story.failure(3)

    lines = [summary(entry.event) for entry in story.written]

    assert all(lines)
    assert set(summary.registry) >= {spec.cls for spec in SPECS.values()}
    assert "cluster 0: Task 0 of 0" in lines
    assert "epoch 1 window 1: replaced, seed-1 by new-1" in lines
