"""An audit decides generations from documents again: what was altered in them is found, and named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from consumers.replay import Audit, AuditExtent, audit
from consumers.replay.parallel import merge, run
from consumers.replay.what_if import what_if
from infra.log.source import TOPICS
from schemas import ids
from schemas.documents import DocumentRead
from schemas.events import CallAnswered, InstructionKept, InstructionsGenerated, InstructionsRejected, Unparsed
from schemas.policy import policy_with
from schemas.segments import Segment, SegmentScores
from sedi.main import main
from sedi.options import ExitCode
from streams.core.parse.segment_answers import WITHDRAWN
from tests.unit.consumers.document_run import DOCUMENTS_POLICY, TEA, DocumentRun, documents_run
from tests.unit.consumers.evaluated_run import archive_of
from tests.unit.consumers.recorded_run import source_of, whole_run

Edit = Callable[[DocumentRun], None]


def in_two_parts(story: DocumentRun) -> Audit:
    source = source_of(story)
    first = run(source, AuditExtent(to_offset=0), conducting=False)
    second = run(source, AuditExtent(from_offset=1), conducting=True)
    return merge(first.audit(0.0), second.audit(0.0))


def rows(story: DocumentRun) -> list[tuple[int, int]]:
    found = [entry.event for _, entry in story.events(InstructionKept)]
    return [(row.generated_offset, row.place) for row in found if isinstance(row, InstructionKept)]


def test_a_sound_run_has_no_divergence_and_its_documents_are_counted() -> None:
    story = documents_run()
    assert rows(story) == [(0, 1), (1, 1)]
    for found in (audit(source_of(story)), in_two_parts(story)):
        assert (found.divergences, found.repeats, found.unreadable) == (0, {}, {}), found.first
        assert found.checked.items() >= {"generations": 3, "documents": 3, "segments": 3, "kept": 2}.items()
        assert "documents" in found.digests
    assert not {"documents", "segments"} & audit(source_of(whole_run())).checked.keys()


def test_a_document_again_on_the_log_is_a_repeat() -> None:
    story = documents_run()
    place, entry = next(story.events(DocumentRead))
    story.written.insert(len(story.written), entry)
    assert place == 2
    found = audit(source_of(story))
    assert (found.divergences, found.repeats) == (0, {"documents": 1})


def generation(story: DocumentRun, nth: int) -> InstructionsGenerated:
    event = list(story.events(InstructionsGenerated))[nth][1].event
    assert isinstance(event, InstructionsGenerated)
    return event


def segment(nth: int = 0, **fields: object) -> Edit:
    """A generation's segment reads otherwise; its id follows, so that only the document can show it."""

    def edit(story: DocumentRun) -> None:
        found = generation(story, nth).segment
        assert found is not None
        new: Segment = msgspec.structs.replace(found, **fields)
        own = ids.segment_id(new.document_id, new.strategy, new.spans)
        story.change(
            InstructionsGenerated, nth, segment=new if "id" in fields else msgspec.structs.replace(new, id=own)
        )

    return edit


def score(story: DocumentRun) -> None:
    """A score in the event differs from the answer on `calls`; the winner stays the same."""
    found = generation(story, 0).scores
    assert found is not None
    candidates = (-19.0, *found.candidates[1:])
    story.change(InstructionsGenerated, 0, scores=msgspec.structs.replace(found, candidates=candidates))


def score_and_answer(story: DocumentRun) -> None:
    """The score differs in the event and in its copy of the answer, but not on `calls`."""
    event = generation(story, 0)
    assert event.scores is not None
    scores: SegmentScores = msgspec.structs.replace(event.scores, unconditional=-31.0)
    raw = msgspec.json.encode(scores).decode()
    answers: tuple[CallAnswered, ...] = (*event.answers[:-1], msgspec.structs.replace(event.answers[-1], raw=raw))
    story.change(InstructionsGenerated, 0, scores=scores, answers=answers)


def winner(story: DocumentRun) -> None:
    """The row that was kept is of the candidate that lost."""
    row = next(story.events(InstructionKept))[1].event
    verdict = next(story.events(InstructionsRejected))[1].event
    assert isinstance(row, InstructionKept)
    assert isinstance(verdict, InstructionsRejected)
    lost = verdict.rejections[0]
    story.change(InstructionKept, 0, id=lost.id, place=lost.place)
    rejections = (
        msgspec.structs.replace(lost, id=row.id, place=row.place, nearest_id=lost.id),
        *verdict.rejections[1:],
    )
    story.change(InstructionsRejected, 0, rejections=rejections)


def seeds(story: DocumentRun) -> None:
    story.change(InstructionsGenerated, 1, seed_ids=("seed_task_0",))


def document_text(story: DocumentRun) -> None:
    story.change(DocumentRead, 2, text=TEA.replace("four", "five"))


def document_source(story: DocumentRun) -> None:
    story.change(DocumentRead, 1, source="others.jsonl")


def document_key(story: DocumentRun) -> None:
    place, entry = next(story.events(DocumentRead))
    story.written[place] = replace(entry, key=story.document(1))


def withdrawal_key(story: DocumentRun) -> None:
    story.withdraw(story.document(2))
    story.written[-1] = replace(story.written[-1], key=story.document(0))


def withdrawn(story: DocumentRun) -> None:
    """The last generation is empty, as of a document that was withdrawn: its verdict is empty too."""
    unparsed = (Unparsed(reason=WITHDRAWN, text=""),)
    story.change(InstructionsGenerated, 2, instructions=(), unparsed=unparsed, scores=None)
    verdict = list(story.events(InstructionsRejected))[2][1].event
    assert isinstance(verdict, InstructionsRejected)
    total = verdict.generated_total - verdict.generated
    story.change(InstructionsRejected, 2, rejections=(), generated=0, generated_total=total)


FAULTS: dict[str, tuple[Edit, dict[str, int], int]] = {
    "a span": (segment(spans=((0, 63),)), {"segment": 1}, 0),
    "a span outside": (segment(2, spans=((20, 500),)), {"segment": 1}, 2),
    "the spans' order": (segment(1, spans=((56, 98), (0, 19))), {"segment": 1}, 1),
    "the document's text": (document_text, {"segment": 1}, 1),
    "the document's offset": (segment(documents_offset=2), {"segment": 1}, 0),
    "a dropped document": (segment(1, documents_offset=1), {"segment": 1}, 1),
    "no such document": (segment(1, documents_offset=7), {"segment": 1}, 1),
    "the segment's id": (segment(id="another"), {"segment": 1}, 0),
    "a score": (score, {"read": 1}, 0),
    "a score with its answer": (score_and_answer, {"answer": 1}, 0),
    "the winner": (winner, {"flipped": 2}, 0),
    "seeds": (seeds, {"seeds_shown": 1}, 1),
    "the document's source": (document_source, {"altered": 1}, 3),
    "the document's key": (document_key, {"altered": 1}, 3),
    "the withdrawal's key": (withdrawal_key, {"altered": 1}, 3),
    "withdrawn, and it was not": (withdrawn, {"segment": 1}, 2),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_was_altered_is_found(name: str) -> None:
    edit, kinds, offset = FAULTS[name]
    story = documents_run()
    edit(story)
    found = audit(source_of(story))
    assert found.by_kind == kinds, found.found
    assert {divergence.generated_offset for divergence in found.found} == {offset}
    parts = in_two_parts(story)
    assert sorted(one.what for one in parts.found) == sorted(one.what for one in found.found)


def test_a_generation_of_a_withdrawn_document_is_empty() -> None:
    story = documents_run()
    withdrawn(story)
    story.withdraw(story.document(2))
    found = audit(source_of(story))
    assert found.divergences == 0, found.found
    assert found.checked["documents"] == 4


def test_a_segment_is_checked_in_a_part_of_the_run_too() -> None:
    story = documents_run()
    segment(spans=((0, 63),))(story)
    document_source(story)
    assert audit(source_of(story), AuditExtent(to_offset=0)).by_kind == {"segment": 1}


@pytest.mark.parametrize(
    ("changes", "kept", "in_both", "rejected"),
    [
        ({"gain_at_least": 1.6}, 1, 1, {"low_gain": 2}),
        ({"gain_at_least": None}, 3, 2, {}),
        ({"strategies": ["salient"]}, 1, 1, {"strategy_off": 5}),
        ({"candidates": 1}, 2, 0, {"over_candidates": 4, "low_gain": 1}),
        ({"max_copied": 1.0}, 2, 2, {"not_scored": 1}),
        ({"rules": []}, 2, 1, {"higher_perplexity": 3, "copies_segment": 1}),
    ],
)
def test_another_policy_chooses_among_the_recorded_candidates(
    changes: dict[str, object], kept: int, in_both: int, rejected: dict[str, int]
) -> None:
    found = what_if(source_of(documents_run()), policy_with(DOCUMENTS_POLICY, **changes))
    assert (found.real.kept, found.what_if.kept, found.in_both) == (2, kept, in_both)
    assert found.what_if.rejected.items() >= rejected.items()


def test_the_command_line_takes_lists_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = documents_run()
    records = list(story.records())
    places = {(topic, 0) for topic in TOPICS} | {record.place for record in records} | {("kept", 1)}
    folder = str(archive_of(records, places, story.run, tmp_path / "log").folder)
    assert main(["replay", "--from-files", folder, "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["checked"]["segments"] == 3
    flags = ["--set", "gain_at_least=none", "--set", "strategies=random,salient", "--set", "candidates=2"]
    assert main(["replay", "--from-files", folder, *flags, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["changed"] == {
        "strategies": [["random", "salient", "structural", "whole"], ["random", "salient"]],
        "candidates": [None, 2],
        "gain_at_least": [0.0, None],
    }
    assert (found["real"]["kept"], found["what_if"]["kept"]) == (2, 3)
