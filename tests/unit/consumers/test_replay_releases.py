"""Released rows in an audit, a what-if, an explanation and the counts: who reads a log compares as the filter did."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest

from consumers.explain.story import explain
from consumers.folds.counts import counts_of
from consumers.folds.run_fold import RunFold
from consumers.replay import Audit, audit, parallel
from consumers.replay.extent import AuditExtent
from consumers.replay.reference import with_reference
from consumers.replay.what_if import what_if
from consumers.summary import summary
from infra.log.source import TOPICS, dead_letter_topics
from schemas import ids
from schemas.envelope import Meta, encode
from schemas.errors import ConfigurationError
from schemas.events import InstructionKept, InstructionsReleased
from schemas.policy import policy_for, policy_with
from sedi.explain_panels import show_explanation
from sedi.output import answered_line
from tests.harness.memory_log import EPOCH, MemoryLog
from tests.harness.script import CRASH, Answers, Generation, Item
from tests.harness.stream import Stream
from tests.unit.consumers.evaluated_run import archive_of
from tests.unit.core.conftest import configured, own_seeds

POLICY = policy_for(batch_size=4, clusters=4, refit_from=32, feedback=False, answer="kept", failed_answer="releases")
RUN = configured(POLICY, own_seeds()[:12])
TEXTS = [seed.instruction for seed in own_seeds()[12:]]
FIRST, SECOND, TWIN = (ids.instruction_id(ids.generation_id("main", n), 0) for n in (0, 1, 8))
"""Of the first the answer fails; the second has one. The twin of the first is kept after the first release."""


def gen(*places: int) -> Generation:
    return Generation(tuple(TEXTS[place] for place in places))


@cache
def recorded() -> MemoryLog:
    """Releases before offsets 8 and 16; that before 16 releases nothing. Offset 17 is decided by a second worker."""
    script: list[Item] = [gen(0), gen(1), Answers((True, False)), *(gen(n) for n in range(2, 8))]
    script += [gen(0, 1), *(gen(0, n) for n in range(10, 18)), CRASH(), gen(0, 1, 20)]
    return Stream(RUN).play(*script).as_undisturbed().log


def run_log(*edits: Callable[[InstructionsReleased], InstructionsReleased | None]) -> MemoryLog:
    """The log with its releases edited, one after the other; None takes one away, and writes another event instead."""
    log = copy.deepcopy(recorded())
    records, left = log.records("run"), list(edits)
    for place, record in enumerate(records):
        if isinstance(record.event, InstructionsReleased) and left:
            event = left.pop(0)(record.event)
            taken = event is None
            event = record.event if event is None else event
            offset = event.from_offset + 3 if taken else event.from_offset
            event = msgspec.structs.replace(event, from_offset=offset)
            id = record.id if not taken else ids.released_id(offset)
            key, value, headers = encode(event, "t", Meta(id, "/sedi/t/worker", EPOCH))
            records[place] = type(record)("run", 0, place, record.timestamp_ms, key, value, headers)
    return log


def naming(*names: str) -> Callable[[InstructionsReleased], InstructionsReleased]:
    return lambda event: msgspec.structs.replace(event, ids=names)


def same(event: InstructionsReleased) -> InstructionsReleased:
    return event


def test_the_audit_decides_with_the_releases_on_the_log() -> None:
    found = audit(recorded())
    assert (found.divergences, found.checked["releases"], found.through_offset) == (0, 2, 17), found.first
    releases = [r.event for r in recorded().records("run") if isinstance(r.event, InstructionsReleased)]
    assert [(event.from_offset, event.ids) for event in releases] == [(8, (FIRST,)), (16, ())]
    twin = [r.event.id for r in recorded().all_records("kept") if isinstance(r.event, InstructionKept)]
    assert TWIN in twin and summary(releases[0]) == "1 kept rows, from offset 8 on"


@pytest.mark.parametrize(
    ("edits", "kinds", "what"),
    [
        ([naming(SECOND)], {"unexpected", "flipped"}, "whose answer is used"),
        ([naming(FIRST, TWIN)], {"unexpected"}, "which is not kept by then"),
        ([naming(FIRST, FIRST)], {"unexpected"}, "which was released before"),
        ([same, naming(FIRST)], {"unexpected"}, "which was released before"),
        ([same, naming(TWIN)], {"unexpected", "flipped"}, "which has no answer"),
        ([naming()], {"flipped"}, "is to be rejected (similar)"),
        ([lambda _: None], {"missing", "unexpected", "flipped"}, "there is no InstructionsReleased"),
        ([same, lambda _: None], {"missing", "unexpected"}, "there is no InstructionsReleased"),
    ],
)
def test_a_release_that_was_altered_is_found_at_its_place(
    edits: list[Callable[[InstructionsReleased], InstructionsReleased | None]], kinds: set[str], what: str
) -> None:
    found = audit(run_log(*edits))
    assert kinds <= set(found.by_kind) <= kinds | {"counts", "similarity", "missing"}, found.by_kind
    assert any(what in one.what for one in found.found), [one.what for one in found.found]
    at = next(one for one in found.found if what in one.what)
    assert at.topic in ("run", "kept", "rejected") and at.generated_offset in (8, 16)


def test_a_repeat_of_a_release_is_one_whatever_it_names_and_the_first_counts() -> None:
    log = copy.deepcopy(recorded())
    log.write(InstructionsReleased(from_offset=8, ids=(FIRST, SECOND)), key="t", id=ids.released_id(8))
    found = audit(log)
    assert (found.divergences, found.repeats) == (0, {"run": 1})
    assert found.digests == audit(recorded()).digests


def test_a_policy_that_blocks_has_no_releases() -> None:
    run = configured(policy_with(POLICY, failed_answer="blocks"), RUN.seeds)
    log = Stream(run).play(*(gen(n) for n in range(9))).log
    log.write(InstructionsReleased(from_offset=8, ids=(FIRST,)), key="t", id=ids.released_id(8))
    found = audit(log)
    assert found.by_kind == {"unexpected": 1} and found.first is not None
    assert (found.first.topic, found.first.offset, found.first.generated_offset) == ("run", 2, 8)


def archived(log: MemoryLog, folder: Path) -> object:
    records = [record for topic in (*TOPICS, *dead_letter_topics()) for record in log.all_records(topic)]
    places = {(topic, 0) for topic in (*TOPICS, *dead_letter_topics())} | {record.place for record in records}
    return archive_of(records, places, log.run, folder)


def plain(found: Audit) -> Audit:
    return msgspec.structs.replace(found, seconds=0.0, first=None, found=())


def test_parts_and_ranges_are_audited_with_the_releases_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_WORTH_SHARING", 1)
    monkeypatch.setattr(parallel, "_START", 1)
    source = archived(run_log(naming(FIRST, TWIN)), tmp_path / "bad")
    alone, shared = audit(source), audit(source, jobs=2)  # type: ignore[arg-type]
    assert plain(shared) == plain(alone) and alone.by_kind == {"unexpected": 1}
    assert [one.what for one in shared.found] == [one.what for one in alone.found]
    for start in (8, 9, 12, 17):
        found = audit(recorded(), AuditExtent(from_offset=start))
        assert (found.divergences, found.from_offset) == (0, start), found.first


def test_rouge_score_compares_with_what_the_filter_compared_with() -> None:
    found = with_reference(audit(recorded()), recorded(), 1000)
    assert found.divergences == 0 and found.reference is not None and found.reference.sampled > 20


def test_a_what_if_releases_what_it_keeps_too_and_invents_no_release() -> None:
    log = recorded()
    own = what_if(log, POLICY)
    assert own.only_real == own.only_what_if == 0
    blocking = what_if(log, policy_with(POLICY, failed_answer="blocks"))
    assert (blocking.only_real, blocking.only_what_if) == (1, 0)
    stricter = what_if(log, policy_with(POLICY, min_words=100))
    assert stricter.what_if.kept == 0
    blocks = Stream(configured(policy_with(POLICY, failed_answer="blocks"), RUN.seeds)).play(gen(0)).log
    with pytest.raises(ConfigurationError, match="released no rows"):
        what_if(blocks, POLICY)


def test_an_explanation_compares_as_the_filter_did_and_tells_of_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    twin, first = (explain(recorded(), id).instruction for id in (TWIN, FIRST))
    assert twin is not None and twin.verdict.agrees and (twin.nearest is None or twin.nearest.id != FIRST)
    assert first is not None and first.answered is not None and first.answered.released_at is not None
    assert (first.answered.released_from, first.answered.released_at.topic) == (8, "run")
    later = explain(recorded(), ids.instruction_id(ids.generation_id("main", 9), 0)).instruction
    assert later is not None and later.verdict.agrees and later.verdict.nearest_id == TWIN
    show_explanation(explain(recorded(), FIRST))
    assert "blocks no similar ones from offset 8 of generated on" in " ".join(capsys.readouterr().out.split())


def test_released_rows_are_counted() -> None:
    fold = RunFold(RUN)
    for topic in ("run", "calls", "generated", "kept", "rejected", "answered"):
        for record in recorded().all_records(topic):
            fold.apply(record)
    found = counts_of(fold)
    assert not isinstance(found.answered, msgspec.UnsetType) and found.answered.released == 1
    assert "1 of them released" in answered_line(found)[0][1]
