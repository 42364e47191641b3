"""Documents, what was made from them, and what a withdrawal does to exports and to the audit."""

import math
from pathlib import Path

import msgspec
import pytest

from consumers.compare import compare
from consumers.explain.story import explain
from consumers.explain.withdraw import withdraw
from consumers.export.manifest import Added, read_manifest
from consumers.export.run import ExportOptions, export
from consumers.folds.documents import Withdrawals, read_withdrawals
from consumers.replay.parallel import audit
from consumers.replay.result import Audit
from schemas.errors import RunError
from schemas.events import TrainingLogged
from schemas.segments import SegmentScores
from sedi.api.document_frames import documents_frame
from sedi.explain_panels import show_explanation
from sedi.export_panels import show_export
from tests.unit.consumers.document_run import SCORER, DocumentRun
from tests.unit.consumers.export.memory import MemorySource as ExportSource
from tests.unit.consumers.recorded_run import POEM, row_id, source_of

OAKS = "Oaks keep their leaves long into a dry summer. Their roots go deep."
BIRCHES = "Birches drop leaves early when the ground is dry. They grow back fast."
QUESTIONS = (
    "Describe what an oak tree does in a dry summer",
    "Explain why birches lose leaves so early",
    "Which of both kinds has the deeper roots",
)


@pytest.fixture
def story() -> DocumentRun:
    """Rows 0 and 2 are from oaks.txt, row 1 from birches.txt, row 3 from a seed. Birches are withdrawn last."""
    story = DocumentRun()
    oaks, birches = story.read("oaks.txt", OAKS, licence="CC0-1.0"), story.read("birches.txt", BIRCHES)
    story.read("copy.txt", OAKS, dropped="duplicate", nearest_id=oaks)
    story.about(0, oaks, QUESTIONS[0], spans=[(0, 46)])
    story.about(1, birches, QUESTIONS[1])
    story.about(2, oaks, QUESTIONS[2], spans=[(47, 67)])
    story.generation(3, [POEM])
    story.withdraw(birches)
    return story


OAK_ROW, BIRCH_ROW, ROOT_ROW, POEM_ROW = (row_id(number, 0) for number in range(4))


def test_a_document_and_its_withdrawal_count_once_and_for_a_reader_that_has_read_so_far(story: DocumentRun) -> None:
    story.withdraw(story.document(1), "again")
    source = source_of(story)
    frame = documents_frame(source)

    assert frame.select("source", "dropped", "withdrawn").rows() == [
        ("oaks.txt", None, False),
        ("birches.txt", None, True),
        ("copy.txt", "duplicate", False),
    ]
    birches = {story.document(1): 3}
    assert [read_withdrawals(source, through).offsets for through in (2, 3, 4)] == [{}, birches, birches]
    assert read_withdrawals(source) == Withdrawals(birches, 0, 5)


# -- export --------------------------------------------------------------------------------------------------------


def exported(story: DocumentRun, folder: Path, options: ExportOptions | None = None) -> list[str]:
    source = ExportSource(story.run, story.records())
    export(source, folder, options or ExportOptions())
    lines = (folder / "lineage.jsonl").read_text(encoding="utf-8").splitlines()
    return [msgspec.json.decode(line)["id"] for line in lines]


def test_an_export_leaves_out_rows_of_withdrawn_documents_and_can_be_made_again(
    story: DocumentRun, tmp_path: Path
) -> None:
    assert exported(story, tmp_path / "now") == [OAK_ROW, ROOT_ROW, POEM_ROW]
    manifest = read_manifest(tmp_path / "now")
    assert msgspec.to_builtins(manifest.withdrawn) == {"through": 3, "documents": 1, "rows": 1}
    assert "| left out with their document | 1 rows |" in (tmp_path / "now" / "README.md").read_text(encoding="utf-8")

    story.withdraw(story.document(0))
    assert exported(story, tmp_path / "later") == [POEM_ROW]
    pinned = ExportOptions(documents_through=3)
    assert exported(story, tmp_path / "again", pinned) == [OAK_ROW, ROOT_ROW, POEM_ROW]
    for file in ("manifest.json", "README.md", "alpaca.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "now" / file).read_bytes()
    with pytest.raises(RunError, match="no offset 5 of documents; the last is 4"):
        exported(story, tmp_path / "none", ExportOptions(documents_through=5))


@pytest.mark.parametrize("name", ["birches.txt", "the-same-text.md"])
def test_a_document_that_one_run_has_withdrawn_comes_back_through_no_other_run(
    story: DocumentRun, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = DocumentRun("other")
    elms, birches = other.read("elms.txt", "Elms grow tall."), other.read(name, BIRCHES)
    other.about(0, birches, "Say what birches do when it is dry")
    other.about(1, elms, "Say how tall elms grow")
    sources = [ExportSource(each.run, each.records()) for each in (story, other)]
    sources[1].name = "the other run"

    for number, (first, also, rows) in enumerate([(*sources, [3, 1]), (*reversed(sources), [1, 3])]):
        folder = tmp_path / str(number)
        manifest = export(first, folder, ExportOptions(), also=[also])
        assert isinstance(manifest.added, Added)
        (added,) = manifest.added.runs
        assert [manifest.added.run_rows, added.rows] == rows
        assert "birches" not in (folder / "alpaca.json").read_text(encoding="utf-8")
        withdrawn = {manifest.run: manifest.withdrawn, added.run: added.withdrawn}
        elsewhere = {"through": 1, "documents": 0, "elsewhere": 1, "rows": 1}
        assert msgspec.to_builtins(withdrawn["demo"]) == {"through": 3, "documents": 1, "rows": 1}
        assert msgspec.to_builtins(withdrawn["other"]) == elsewhere
        show_export(manifest, folder, 1.0)
        shown = capsys.readouterr().out
        assert "of demo: 1 left out with 1 withdrawn documents" in shown
        assert "of other: 1 left out with 1 withdrawn documents" in shown
    assert "| withdrawn in another run here | 1 documents |" in (folder / "README.md").read_text(encoding="utf-8")


# -- audit ---------------------------------------------------------------------------------------------------------


def audited(story: DocumentRun, documents_offset: int, *batches: list[str]) -> Audit:
    """The audit after one window with these batches, which reflects that offset of `documents`."""
    story.window(*batches)
    story.change(TrainingLogged, documents_offset=documents_offset)
    return audit(source_of(story))


def in_order(story: DocumentRun, *ids: str) -> list[list[str]]:
    """Batches of two: rows in their clusters' order are what the audit expects."""
    return [list(ids[start : start + 2]) for start in range(0, len(ids), 2)]


def test_a_window_may_hold_a_documents_rows_until_it_reflects_the_withdrawal(story: DocumentRun) -> None:
    assert audited(story, 2, *in_order(story, OAK_ROW, BIRCH_ROW, ROOT_ROW, POEM_ROW)).by_kind == {}


def test_rows_of_withdrawn_documents_are_passed_over_in_a_later_window(story: DocumentRun) -> None:
    found = audited(story, 3, *in_order(story, OAK_ROW, ROOT_ROW, POEM_ROW))
    assert (found.by_kind, found.checked["documents"]) == ({}, 4)


def test_a_step_with_a_row_after_its_documents_withdrawal_is_a_divergence(story: DocumentRun) -> None:
    found = audited(story, 3, *in_order(story, OAK_ROW, BIRCH_ROW, ROOT_ROW, POEM_ROW))

    assert found.by_kind == {"withdrawn": 1}
    assert found.first is not None
    assert (
        found.first.what == f"Step 1 of epoch 1 trained row {BIRCH_ROW}: its document was withdrawn at 3 of documents."
    )


def test_a_row_that_is_passed_over_without_a_withdrawal_is_a_divergence(story: DocumentRun) -> None:
    assert audited(story, 2, *in_order(story, OAK_ROW, ROOT_ROW, POEM_ROW)).by_kind.keys() == {"batch"}


def test_a_window_that_reflects_withdrawals_that_are_not_on_the_log_is_a_divergence(story: DocumentRun) -> None:
    found = audited(story, 4, *in_order(story, OAK_ROW, ROOT_ROW, POEM_ROW))
    assert found.by_kind == {"withdrawn": 1}
    assert found.first is not None and "reflects offset 4 of documents, whose last is 3" in found.first.what

    story.window([OAK_ROW, ROOT_ROW], epoch=2)
    story.change(TrainingLogged, 0, documents_offset=3)
    story.change(TrainingLogged, 1, documents_offset=2)
    assert "withdrawn" in audit(source_of(story)).by_kind  # less than a window before it


# -- what came of a document ---------------------------------------------------------------------------------------


def test_everything_that_came_of_a_document_is_listed_with_its_path_withdrawn_or_not(story: DocumentRun) -> None:
    oaks, birches = (withdraw(source_of(story), id=story.document(place)) for place in (0, 1))

    assert [row.id for row in oaks.rows] == [OAK_ROW, ROOT_ROW]
    assert [(link.kind, link.id) for link in oaks.rows[1].path] == [
        ("document", story.document(0)),
        ("generation", story.kept[ROOT_ROW].generation_id),
    ]
    assert oaks.document is not None and birches.document is not None
    assert (oaks.document.withdrawn_offset, birches.document.withdrawn_offset) == (None, 3)
    assert [row.id for row in birches.rows] == [BIRCH_ROW]


def test_a_documents_story_goes_from_what_it_is_to_its_rows(
    story: DocumentRun, capsys: pytest.CaptureFixture[str]
) -> None:
    story.window([OAK_ROW, BIRCH_ROW])
    found = explain(source_of(story), story.document(0)[:8])

    assert found.kinds == ("document",) and found.document is not None
    assert [segment.kept for segment in found.document.segments] == [(OAK_ROW,), (ROOT_ROW,)]
    assert [segment.steps for segment in found.document.segments] == [((1, 1),), ()]
    assert found.document.segments[1].spans == ((47, 67),)
    show_explanation(found)
    shown = capsys.readouterr().out
    assert "licence CC0-1.0" in shown and "2 segments, 2 kept rows" in shown

    show_explanation(explain(source_of(story), story.document(2)))
    assert f"dropped: duplicate, of {story.document(0)} (oaks.txt)" in capsys.readouterr().out
    show_explanation(explain(source_of(story), story.document(1)))
    assert "WITHDRAWN: its author asked" in capsys.readouterr().out


def test_a_candidate_is_shown_with_its_segment_and_by_how_much_it_lost(capsys: pytest.CaptureFixture[str]) -> None:
    story = DocumentRun()
    oaks = story.read("oaks.txt", OAKS)
    ids = story.about(0, oaks, "Oaks keep their leaves long.", *QUESTIONS[:2], perplexities=(1.0, 4.0, 2.0))

    for id in ids:
        told = explain(source_of(story), id).instruction
        assert told is not None and told.segment is not None
        segment = told.segment
        assert (segment.winner, segment.document.source, segment.text) == (ids[2], "oaks.txt", OAKS)
        assert [candidate.copied for candidate in segment.candidates] == [True, False, False]
        assert [candidate.reason for candidate in segment.candidates] == ["copies_segment", "higher_perplexity", None]
        assert [candidate.perplexity for candidate in segment.candidates] == [None, pytest.approx(4), pytest.approx(2)]
        assert [candidate.behind for candidate in segment.candidates] == [None, pytest.approx(0.693, abs=1e-3), None]
        assert told.verdict.agrees is (True if id == ids[2] else None)
        assert told.generation.sampled_as_told
    show_explanation(explain(source_of(story), ids[1]))
    shown = capsys.readouterr().out
    assert f"0.6931 nats a token behind {ids[2][:8]}" in shown and "decided again: by `sedi replay`" in shown
    assert "sampling the pool again" not in shown


def test_a_candidate_that_makes_its_segment_impossible_has_an_infinite_perplexity(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = SegmentScores(scorer=SCORER, tokens=2, unconditional=-9.0, candidates=(-1420.0, -1418.0, 0.0, None))
    found = [scores.perplexity(place) for place in range(4)]
    assert found == [math.inf, pytest.approx(math.exp(709)), 1.0, None], "e^709 is a number, e^710 is none"

    story = DocumentRun()
    oaks = story.read("oaks.txt", OAKS)
    beyond = 10**400  # no float holds it, but its logarithm
    story.about(0, oaks, *QUESTIONS[:2], unconditional=60.0, perplexities=(beyond, 7.389))
    told = explain(source_of(story), row_id(0, 0))
    assert told.instruction is not None and told.instruction.segment is not None
    assert [candidate.perplexity for candidate in told.instruction.segment.candidates] == [
        math.inf,
        pytest.approx(7.389, abs=1e-3),
    ]
    show_explanation(told)
    assert "perplexity inf, gain -916.9" in capsys.readouterr().out
    assert b'"perplexity":null' in msgspec.json.encode(told.instruction.segment)

    story.about(1, oaks, QUESTIONS[2], unconditional=10**500, perplexities=(beyond,))
    (group,) = compare([source_of(story)]).producers.producers
    assert group.perplexity is not None and group.perplexity.mean is not None
    assert (group.kept, group.perplexity.infinite) == (2, 1)
    assert group.perplexity.mean.value == pytest.approx(7.389, abs=1e-3)


def test_the_frame_of_documents_counts_the_rows_made_from_each(story: DocumentRun) -> None:
    frame = documents_frame(source_of(story))
    assert frame.select("source", "dropped", "withdrawn", "kept").rows() == [
        ("oaks.txt", None, False, 2),
        ("birches.txt", None, True, 1),
        ("copy.txt", "duplicate", False, 0),
    ]
