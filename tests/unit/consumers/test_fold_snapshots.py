"""A fold that went on from a snapshot is the fold from the start, wherever the snapshot was made."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.folds.read_fold import FOLDED, FoldFolder, fold_form, read_fold
from consumers.folds.run_fold import RunFold
from consumers.report import report_of
from consumers.seed_table import replacement_rows
from consumers.status import BrokerHealth, status_of
from infra.log.record import Record
from infra.snapshots.following import CaughtUp, catch_up
from tests.unit.consumers.answered_run import answered_run
from tests.unit.consumers.document_run import documents_run
from tests.unit.consumers.evaluated_run import evaluated_run
from tests.unit.consumers.fuzzed import Fuzzed, fuzzed
from tests.unit.consumers.recorded_run import MemorySource, ToldRun, source_of, whole_run
from tests.unit.consumers.story import START_MS

BROKER = BrokerHealth(healthy=True, bootstrap="", brokers=1, detail="")
STORIES: tuple[Callable[[], ToldRun], ...] = (whole_run, answered_run, documents_run, evaluated_run)
RECORDS = tuple(list(make().records()) for make in STORIES)


def numbers(fold: RunFold) -> tuple[Any, ...]:
    """All that anybody shows of a fold."""
    at = (fold.last_ms or START_MS) + 10_000
    return report_of(fold, seeds=True), status_of(fold, at, BROKER), replacement_rows(fold), fold.batches, fold.trained


def log_of(told: list[Record], further: list[Fuzzed], rng: random.Random) -> list[Record]:
    """A story in which some records stand twice, and some that nobody ought to have written stand anywhere."""
    ends: Counter[tuple[str, int]] = Counter()
    contents = [(r.topic, r.partition, r.timestamp_ms, r.key, r.value, r.headers) for r in told]
    contents += rng.sample(contents, rng.randrange(4))
    for found in further:
        content = found.record(0)
        where = rng.randrange(1, len(contents) + 1)
        contents.insert(where, (found.topic, 0, START_MS, content.key, content.value, content.headers))
    log = []
    for topic, partition, *content in contents:
        log.append(Record(topic, partition, ends[topic, partition], *content))  # type: ignore[arg-type]
        ends[topic, partition] += 1
    return log


def kept_fold(source: MemorySource, folder: FoldFolder) -> CaughtUp[RunFold]:
    """The fold as it is read with snapshots, which leaves one however little was read."""
    form, file = fold_form(source), folder.file(source)
    caught = catch_up(source, FOLDED, form, file)
    assert file.write(caught.coverage.now(), form.to_bytes(caught.state))
    return caught


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RECORDS), st.lists(fuzzed(), max_size=6), st.integers(0, 2**32).map(random.Random))
def test_a_fold_goes_on_from_a_snapshot_made_anywhere(
    told: list[Record], further: list[Fuzzed], rng: random.Random
) -> None:
    log = log_of(told, further, rng)
    ends = Counter(record.place for record in log)
    cuts = [{place: rng.randrange(end + 1) for place, end in ends.items()} for _ in range(2)]
    for cut in cuts:
        cut["run", 0] = max(1, cut["run", 0])
    cuts[1] = {place: max(cuts[0][place], cuts[1][place]) for place in cuts[0]}
    with TemporaryDirectory() as name:
        folder = FoldFolder(Path(name))
        for number, cut in enumerate(cuts):
            before = MemorySource([r for r in log if r.offset < cut[r.place]])
            assert kept_fold(before, folder).went_on == (number > 0)
        found = kept_fold(MemorySource(log), folder)
    assert found.went_on
    assert numbers(found.state) == numbers(read_fold(MemorySource(log)))


def test_what_is_another_log_or_was_made_by_another_program_is_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, story = FoldFolder(tmp_path), whole_run()
    source = source_of(story)

    def went_on(log: MemorySource = source) -> bool:
        kept = kept_fold(log, folder)
        assert numbers(kept.state) == numbers(read_fold(log))
        return kept.went_on

    assert [went_on(), went_on()] == [False, True]
    shorter = MemorySource(source.records[:-3])
    assert [went_on(shorter), went_on(shorter), went_on()] == [False, True, True]
    later = MemorySource(
        [Record(*r.place, r.offset, r.timestamp_ms + 1, r.key, r.value, r.headers) for r in source.records]
    )
    assert [went_on(later), went_on(later)] == [False, True]
    monkeypatch.setattr("consumers.folds.read_fold.program_digest", lambda *_: "newer")
    assert [went_on(later), went_on(later)] == [False, True]
    (file,) = (tmp_path / "demo").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert [went_on(later), went_on(later)] == [False, True]


def test_nothing_is_written_for_a_few_records_nor_without_a_folder(tmp_path: Path) -> None:
    source = source_of(whole_run())
    assert read_fold(source, FoldFolder(tmp_path / "state")).verdicts.kept
    assert read_fold(source).verdicts.kept
    assert list(tmp_path.iterdir()) == []
