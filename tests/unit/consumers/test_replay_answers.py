"""An audit reads the answers to kept instructions again: what was altered in them is found, at its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.replay import Audit, audit, parallel
from infra.log.source import TOPICS, dead_letter_topics
from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, RunConfigured, Unparsed
from tests.unit.consumers.answered_run import (
    BREAD_ID,
    CHESS_ID,
    KEPT_POLICY,
    LETTER_ID,
    POEM_ID,
    RIVERS_ID,
    TREES_ID,
    AnsweredRun,
    answered_run,
)
from tests.unit.consumers.evaluated_run import archive_of
from tests.unit.consumers.recorded_run import source_of, whole_run
from tests.unit.consumers.story import Written

ROWS = [RIVERS_ID, POEM_ID, LETTER_ID, TREES_ID, CHESS_ID, BREAD_ID]
"""In the order of their answers."""


def audited(story: AnsweredRun) -> Audit:
    return audit(source_of(story))


def test_a_sound_run_is_counted_with_the_row_that_waits_for_its_answer() -> None:
    found = audited(answered_run())
    assert (found.divergences, found.repeats, found.unreadable) == (0, {}, {}), found.first
    assert found.checked["answered"] == 6 and found.checked["answers"] == 9 and found.unanswered == 1
    assert "answered" in found.digests
    before = audit(source_of(whole_run()))
    assert "answered" not in before.digests and not isinstance(before.unanswered, int)


def test_repeats_are_counted_and_change_no_digest() -> None:
    story, quiet = answered_run(), answered_run()
    story.again(story_place(story, RIVERS_ID)[1])
    story.again(story_place(story, CHESS_ID)[1])
    found = audited(story)
    assert (found.divergences, found.repeats) == (0, {"answered": 2})
    assert found.digests == audited(quiet).digests


def test_a_trained_row_whose_answer_is_not_used_is_found() -> None:
    story = answered_run()
    story.window([POEM_ID], [])
    found = audited(story)
    assert found.by_kind == {"batch": 1} and found.first is not None
    assert "is not used (cut_output)" in found.first.what and found.first.id == POEM_ID


def test_parts_audited_by_several_processes_give_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_WORTH_SHARING", 1)
    monkeypatch.setattr(parallel, "_START", 1)
    story = answered_run()
    in_row(TREES_ID, output="Both keep their leaves.")(story)
    records = list(source_of(story).records)
    places = {(topic, 0) for topic in (*TOPICS, *dead_letter_topics())} | {record.place for record in records}
    source = archive_of(records, places, story.run, tmp_path / "log")
    alone, shared = audit(source), audit(source, jobs=2)
    assert shared.from_offset == 0 and shared.divergences == 1
    assert replace(shared, seconds=0.0, first=None, found=()) == replace(alone, seconds=0.0, first=None, found=())
    assert [one.what for one in shared.found] == [one.what for one in alone.found]


def altered(id: str, **fields: Any) -> Callable[[AnsweredRun], None]:
    return lambda story: story.change(InstructionAnswered, ROWS.index(id), **fields)


def in_row(id: str, **fields: Any) -> Callable[[AnsweredRun], None]:
    def alter(story: AnsweredRun) -> None:
        _, entry = list(story.events(InstructionAnswered))[ROWS.index(id)]
        assert isinstance(entry.event, InstructionAnswered)
        story.change(InstructionAnswered, ROWS.index(id), row=replace(entry.event.row, **fields))

    return alter


def raw_altered(story: AnsweredRun) -> None:
    """The raw answer and what it is read as agree, and `calls` has another one."""
    _, entry = next(story.events(InstructionAnswered))
    assert isinstance(entry.event, InstructionAnswered)
    answers = (replace(entry.event.answers[0], raw="Rhine."),)
    story.change(InstructionAnswered, 0, answers=answers, row=replace(entry.event.row, output="Rhine."))


def left_out(story: AnsweredRun) -> None:
    """An answer that is on `calls` is said to be refused."""
    _, entry = list(story.events(InstructionAnswered))[ROWS.index(TREES_ID)]
    assert isinstance(entry.event, InstructionAnswered)
    unparsed = (Unparsed(reason="flagged", text="400"),)
    row = replace(entry.event.row, output="")
    story.change(InstructionAnswered, 3, answers=(), unparsed=unparsed, reason="flagged", row=row)


def removed(id: str) -> Callable[[AnsweredRun], None]:
    def remove(story: AnsweredRun) -> None:
        place, _ = list(story.events(InstructionAnswered))[ROWS.index(id)]
        del story.written[place]

    return remove


def swapped(story: AnsweredRun) -> None:
    (first, one), (second, other) = [story_place(story, id) for id in (TREES_ID, LETTER_ID)]
    story.written[first], story.written[second] = other, one


def story_place(story: AnsweredRun, id: str) -> tuple[int, Written]:
    return list(story.events(InstructionAnswered))[ROWS.index(id)]


def renamed(story: AnsweredRun) -> None:
    place, entry = story_place(story, TREES_ID)
    story.written[place] = Written(entry.topic, entry.partition, entry.event, "no-id", entry.key)


def of_no_row(story: AnsweredRun) -> None:
    place, entry = story_place(story, BREAD_ID)
    assert isinstance(entry.event, InstructionAnswered)
    row = replace(entry.event.row, id=ids.instruction_id(ids.generation_id("main", 9), 0))
    story.written.insert(place + 1, Written("answered", entry.partition, replace(entry.event, row=row), "x", row.id))


def other_policy(story: AnsweredRun) -> None:
    """The run answers all instructions."""
    story.change(RunConfigured, policy=replace(KEPT_POLICY, answer="all", rules=()))


@pytest.mark.parametrize(
    ("alter", "kinds", "id", "what"),
    [
        (in_row(TREES_ID, output="Both keep their leaves."), {"read"}, TREES_ID, "not what its answers parse to"),
        (in_row(TREES_ID, input="made up"), {"read"}, TREES_ID, "not what its answers parse to"),
        (altered(POEM_ID, reason=None), {"read", "batch"}, POEM_ID, "not what its answers parse to"),
        (altered(BREAD_ID, reason="flagged"), {"read", "batch", "outcome"}, BREAD_ID, "is not used"),
        (altered(CHESS_ID, unparsed=()), {"read"}, CHESS_ID, "not what its answers parse to"),
        (altered(TREES_ID, style="self-instruct"), {"read"}, TREES_ID, "not what its answers parse to"),
        (altered(TREES_ID, style="alpaca"), {"altered"}, TREES_ID, "does not answer one instruction"),
        (altered(TREES_ID, model="m-2"), {"altered"}, TREES_ID, "another model"),
        (in_row(TREES_ID, instruction="Compare two trees"), {"altered"}, TREES_ID, "differs from its row in"),
        (in_row(TREES_ID, place=5), {"altered"}, TREES_ID, "differs from its row in place"),
        (raw_altered, {"answer"}, RIVERS_ID, "not its own on `calls`"),
        (left_out, {"answer", "batch"}, TREES_ID, "leaves out an answer"),
        (removed(POEM_ID), {"missing"}, POEM_ID, "has no InstructionAnswered"),
        (swapped, {"reordered"}, LETTER_ID, "which was kept later"),
        (renamed, {"altered"}, TREES_ID, "an id or a key"),
        (of_no_row, {"unexpected"}, None, "a row that was not kept"),
        (other_policy, {"unexpected", "flipped", "altered", "batch"}, None, "answers all instructions"),
    ],
)
def test_what_was_altered_is_found_at_its_place(
    alter: Callable[[AnsweredRun], None], kinds: set[str], id: str | None, what: str
) -> None:
    story = answered_run()
    alter(story)
    found = audited(story)
    assert set(found.by_kind) == kinds, [one.what for one in found.found]
    one = next(one for one in found.found if what in one.what)
    if id is not None:
        assert id in one.what
        if one.topic == "answered" and one.offset >= 0:
            records = [r for r in source_of(story).records if (r.topic, r.partition) == (one.topic, one.partition)]
            event = next(record.event for record in records if record.offset == one.offset)
            assert isinstance(event, InstructionAnswered) and event.row.id == id


@pytest.mark.parametrize(
    ("raw", "kind", "fits", "reason"),
    [
        ("Class label: no\nInput: a tyre", "Yes", True, None),
        ("Output: Hang plants from it.", "neither", True, None),
        (None, "no", True, "flagged"),
        (None, None, True, "flagged"),
        ("Hang plants from it.", None, False, "too_large"),
    ],
)
def test_every_way_an_answer_may_end_is_read_again_the_same(
    raw: str | None, kind: str | None, fits: bool, reason: str | None
) -> None:
    story = answered_run()
    waiting = next(id for id in story.kept if id not in ROWS)
    assert story.answered(waiting, raw, kind=kind, fits=fits).reason == reason
    found = audited(story)
    assert (found.divergences, found.unanswered, found.checked["answered"]) == (0, 0, 7), found.first
    story.change(InstructionAnswered, 6, reason="flagged" if reason is None else None)
    assert audited(story).by_kind == ({"read": 1} if fits else {"read": 1, "answer": 1})


def test_an_answer_that_no_row_has_is_no_fault() -> None:
    """The process died between an answer and its row: the next start takes it from the ledger."""
    story = answered_run()
    waiting = next(id for id in story.kept if id not in ROWS)
    story.call(ids.answered_id(waiting), "answer/1-of-1", 6, 0, "Hang plants from it.")
    assert audited(story).divergences == 0
    assert sum(isinstance(entry.event, CallAnswered) for entry in story.written) == 10
