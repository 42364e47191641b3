"""A document is withdrawn on a real log: its rows are in no later step, live or offline, and the audit proves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from consumers.export.run import ExportOptions, export
from consumers.replay.parallel import audit
from consumers.trainer.data.withdrawn_rows import LiveRanges
from infra.cluster import topics
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.archive import ArchiveSource
from infra.log.archiving import write_archive
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from schemas import ids
from schemas.documents import DocumentWithdrawn
from schemas.errors import TrainerError
from schemas.events import StepLogged
from tests.golden.edits import Log
from tests.integration.trainer.rig import TrainerRig
from tests.unit.consumers.document_events import document_event, id_of
from tests.unit.consumers.document_run import DocumentRun
from tests.unit.consumers.recorded_run import row_id

GENERATIONS, BATCH = 24, 2


@dataclass
class CorpusRig(TrainerRig):
    documents: tuple[str, ...] = ()


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, model_folder: Path, tmp_path: Path) -> CorpusRig:
    """A run with three documents; the row of generation n is from document n modulo 3."""
    made = CorpusRig(broker.settings, run, model_folder, tmp_path)
    topics.apply(made.settings, run, BATCH)
    story = DocumentRun(run)
    documents = [story.read(f"{name}.txt", f"All there is to say about {name}, in a line.") for name in ("a", "b", "c")]
    for number in range(GENERATIONS):
        words = " ".join(f"{letter}{number}" for letter in "klmnop")
        story.about(number, documents[number % 3], f"Explain in short {words}")
    with made.writer() as writer:
        story.write(writer)
    assert len(story.kept) == GENERATIONS
    made.documents = tuple(documents)
    return made


def withdraw(rig: CorpusRig, place: int) -> None:
    id = rig.documents[place]
    with rig.writer() as writer:
        writer.write(DocumentWithdrawn(document_id=id, reason="asked"), key=id, id=ids.withdrawn_id(id))


def rows_of(place: int) -> set[str]:
    return {row_id(number, 0) for number in range(place, GENERATIONS, 3)}


def trained(steps: Sequence[StepLogged]) -> set[str]:
    return {row.id for step in steps for row in step.rows}


def clean(rig: CorpusRig) -> None:
    found = audit(KafkaSource(rig.settings, rig.run))
    others = found.by_kind.keys() - {"classifier", "cluster"}  # no worker has fitted any
    assert (others, found.checked["windows"]) == (set(), len(rig.windows())), found.found


def test_a_document_withdrawn_before_the_training_is_in_no_step_export_or_archive(rig: CorpusRig) -> None:
    withdraw(rig, 0)
    _, steps = rig.train(epochs=2, last_batch=True)
    assert trained(steps) == rows_of(1) | rows_of(2)
    assert {window.documents_offset for window in rig.windows()} == {3}
    clean(rig)

    archive = rig.folder / "archive"
    write_archive(rig.settings, rig.run, archive)
    _, offline = rig.train(from_files=archive, offline=True, output=rig.folder / "offline", last_batch=True)
    assert trained(offline) == rows_of(1) | rows_of(2)
    manifest = export(ArchiveSource(archive), rig.folder / "export", ExportOptions())
    assert (manifest.rows, manifest.withdrawn.rows, manifest.withdrawn.through) == (16, 8, 3)


def test_a_document_withdrawn_during_a_live_training_is_in_no_window_that_begins_later(rig: CorpusRig) -> None:
    def on_step(step: StepLogged) -> None:
        if step.step == 3:  # the first of window 1, of two steps
            withdraw(rig, 1)

    rig.stop_run()
    _, steps = rig.train(until_end=False, on_step=on_step)
    windows = rig.windows()
    assert [window.documents_offset for window in windows[:3]] == [2, 2, 3]
    before, after = (trained([s for w in part for s in w.steps]) for part in (windows[:2], windows[2:]))
    assert before & rows_of(1) and not after & rows_of(1)
    assert rows_of(0) | rows_of(2) <= before | after | trained(steps[-1:]) | untrained(rig)
    clean(rig)


def untrained(rig: CorpusRig) -> set[str]:
    """Rows left over at the end: the last batch was not whole."""
    left = (rows_of(0) | rows_of(2)) - trained([step for window in rig.windows() for step in window.steps])
    return left if len(left) < BATCH else set()


def test_a_training_that_was_killed_has_the_same_windows_and_reads_later_withdrawals_after_them(rig: CorpusRig) -> None:
    withdraw(rig, 0)
    killed = rig.train_until_killed(at=4, checkpoint_every=3)
    withdraw(rig, 1)
    summary, again = rig.train()

    assert summary.resumed_from == 3
    assert [row.id for row in again[0].rows] == [row.id for row in killed[3].rows]  # step 4, by its window's offset
    offsets = [window.documents_offset for window in rig.windows()]
    assert (offsets[:2], set(offsets[2:])) == ([3, 3], {4})
    assert trained(killed) & rows_of(1) and not trained(again[1:]) & rows_of(1)
    clean(rig)


def test_a_training_from_its_start_repeats_no_step_with_a_row_that_is_withdrawn_by_now(rig: CorpusRig) -> None:
    withdraw(rig, 0)
    _, steps = rig.train(max_steps=4)
    _, again = rig.train(fresh=True)
    assert [step.rows for step in again[:4]] == [step.rows for step in steps]
    assert trained(again) <= rows_of(1) | rows_of(2) and len(again) > 4

    withdraw(rig, 1)
    begun: list[StepLogged] = []
    for changes in ({"fresh": True}, {"output": rig.folder / "another"}):
        with pytest.raises(TrainerError, match=r"the first of them 1, have rows of .* withdrawn"):
            rig.train(on_step=begun.append, **changes)
    assert begun == []
    assert rig.train()[0].resumed_from == len(again)  # `fresh` has removed no checkpoint
    write_archive(rig.settings, rig.run, rig.folder / "archive")  # as the error says
    _, offline = rig.train(from_files=rig.folder / "archive", offline=True, output=rig.folder / "offline")
    assert offline and trained(offline) <= rows_of(2)
    clean(rig)


def test_steps_that_hold_a_withdrawn_documents_rows_all_the_same_are_found(rig: CorpusRig) -> None:
    _, steps = rig.train()
    withdraw(rig, 2)
    write_archive(rig.settings, rig.run, rig.folder / "archive")
    log = Log(rig.folder / "archive")
    for offset in range(1, len(rig.windows())):
        log.change("training-log", offset, lambda window: window.update(documents_offset=3))
    wrong = [row.id for step in steps[2:] for row in step.rows if row.id in rows_of(2)]

    assert audit(ArchiveSource(rig.folder / "archive")).by_kind.get("withdrawn") is None
    found = audit(log.write(rig.folder / "altered")).by_kind
    assert (found["withdrawn"], found.get("batch"), found.get("steps")) == (len(wrong), None, None)
    assert wrong


def test_of_long_documents_none_is_passed_over_when_they_are_read_in_parts(broker: TemporaryBroker, run: str) -> None:
    topics.apply(broker.settings, run, BATCH)
    random = Random(7)
    texts = [f"{number}.txt {random.randbytes(random.randrange(1_000, 15_000)).hex()}" for number in range(500)]
    with LogWriter(broker.settings, run, "test") as writer:
        events = [document_event(text[:7], text) for text in texts]
        for sent in [writer.send(event, key=id_of(event), id=id_of(event)) for event in events]:
            writer.wait(sent)
    ranges = LiveRanges(broker.settings, run)
    assert [record.offset for record in ranges.read("documents", 0, ranges.end("documents"))] == list(range(500))
    ranges.close()
