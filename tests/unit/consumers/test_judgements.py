"""What judges made of the rows is counted, told, exported by, and checked against their answers."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.explain.story import explain
from consumers.export.manifest import read_manifest
from consumers.export.run import ExportOptions, export
from consumers.replay.parallel import audit
from consumers.report import report
from consumers.summary import summary
from infra.log.archive import FORMAT, ArchiveFile, ArchiveManifest, ArchiveSource, line_of
from schemas import ids
from schemas.errors import ConfigurationError, RunError
from schemas.events import CallAnswered, CallStarted, InstructionJudged, Judge
from sedi.explain_panels import show_explanation
from sedi.report import show_report
from streams.core.judging import SCALE, read
from tests.unit.consumers.export.memory import MemorySource
from tests.unit.consumers.recorded_run import ToldRun, row_id, source_of, whole_run
from tests.unit.consumers.story import Written

ACCURATE = Judge(backend="openai", model="big", rubric="accuracy", version=1)
HELPFUL = Judge(backend="openai", model="big", rubric="helpfulness", version=1)
ROWS = [row_id(0, 0), row_id(0, 1), row_id(1, 2), row_id(2, 0), row_id(3, 1)]
RAWS = ["5\nTrue.", "4.5\nMostly true.", "Hard to say.", "2\nFalse.\nNobody lives there."]
"""Of the first four rows; the fifth is not judged."""


def tell_judgement(story: ToldRun, id: str, raw: str, judge: Judge = ACCURATE, **said: Any) -> None:
    """A judgement with its call, as a judge writes it; `said` it says otherwise."""
    row, judgement = story.kept[id], ids.judgement_id(id, judge.name)
    request = ids.request_id(judgement, 0)
    started = CallStarted(
        request_id=request,
        attempt=1,
        generation_id=judgement,
        lane=f"judge/{judge.name}",
        number=ROWS.index(id),
        step=0,
        backend=judge.backend,
        model=judge.model,
    )
    answer = CallAnswered(
        request_id=request,
        attempt=1,
        model=judge.model,
        raw=raw,
        finish_reason="stop",
        usage=None,
        cost_usd=0.25,
        latency_s=1.0,
    )
    score, reason = read(raw)
    event = InstructionJudged(
        kept_id=id,
        generated_offset=row.generated_offset,
        place=row.place,
        cluster=row.cluster,
        judge=judge,
        scale=SCALE,
        score=score,
        reason=reason,
        answers=(answer,),
        cost_usd=0.25,
    )
    story.tell(started, id=ids.child(request, "started/1"), key=request)
    story.tell(answer, id=ids.child(request, "answered/1"), key=request)
    story.tell(msgspec.structs.replace(event, **said), id=judgement, key=id)


@pytest.fixture
def story() -> ToldRun:
    story = whole_run()
    for id, raw in zip(ROWS, RAWS, strict=False):
        tell_judgement(story, id, raw)
    return story


def export_source(story: ToldRun) -> MemorySource:
    return MemorySource(story.run, list(story.records()), story.policy.clusters)


def lineage(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "lineage.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_report_counts_scores_and_what_each_would_withhold(
    story: ToldRun, capsys: pytest.CaptureFixture[str]
) -> None:
    story.again(story.written[-1])
    found = report(source_of(story))
    (judged,) = found.judged
    assert (judged.judge, judged.judged, judged.unreadable, judged.unjudged) == ("accuracy/1/big", 4, 1, 1)
    assert judged.mean == pytest.approx((5 + 4.5 + 2) / 3)
    assert [(row.score, row.rows, row.withheld) for row in judged.scores] == [(2, 1, 0.25), (4.5, 1, 0.5), (5, 1, 0.75)]
    assert found.duplicates == {"judged": 1}
    assert found.calls.answered == 6 + 4, "a judge's calls are the run's"
    show_report(found)
    out = capsys.readouterr().out
    assert "Judged by accuracy/1/big" in out
    assert "75.0 %" in out


def test_a_run_that_nobody_judged_says_nothing_of_judges(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(source_of(whole_run()))
    assert found.judged == ()
    show_report(found)
    assert "Judged" not in capsys.readouterr().out
    assert "judged" not in audit(source_of(whole_run())).digests


def test_two_judges_are_told_apart(story: ToldRun) -> None:
    tell_judgement(story, ROWS[0], "1\nOf no help.", HELPFUL)
    accurate, helpful = report(source_of(story)).judged
    assert (accurate.judged, helpful.judged, helpful.mean) == (4, 1, 1.0)


def test_an_export_holds_the_rows_of_that_score_and_says_what_it_left_out(story: ToldRun, tmp_path: Path) -> None:
    options = ExportOptions(formats=("alpaca", "parquet"), min_score=4.5)
    manifest = export(export_source(story), tmp_path / "good", options)
    assert [(line["id"], line["score"]) for line in lineage(tmp_path / "good")] == [(ROWS[0], 5.0), (ROWS[1], 4.5)]
    assert msgspec.to_builtins(manifest.withheld) == {
        "judge": "accuracy/1/big",
        "min_score": 4.5,
        "below": 1,
        "unreadable": 1,
        "unjudged": 1,
    }
    assert read_manifest(tmp_path / "good") == manifest
    assert [(part.start, part.end) for part in manifest.offsets if part.topic == "judged"] == [(0, 4)]
    card = (tmp_path / "good" / "README.md").read_text(encoding="utf-8")
    assert "| judge | accuracy/1/big |" in card
    assert "| left out without a score | 1 rows unreadable, 1 not judged |" in card
    import polars as pl

    assert pl.read_parquet(tmp_path / "good" / "rows.parquet")["score"].to_list() == [5.0, 4.5]


def test_an_export_without_a_least_score_is_as_if_there_were_no_judges(story: ToldRun, tmp_path: Path) -> None:
    export(export_source(story), tmp_path / "judged", ExportOptions())
    export(export_source(whole_run()), tmp_path / "not", ExportOptions())
    for path in (tmp_path / "not").iterdir():
        assert (tmp_path / "judged" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_same_offsets_of_judged_give_the_same_bytes_when_more_was_judged_since(
    story: ToldRun, tmp_path: Path
) -> None:
    export(export_source(story), tmp_path / "before", ExportOptions(min_score=2))
    tell_judgement(story, ROWS[4], "5\nTrue.")
    export(export_source(story), tmp_path / "same", ExportOptions(min_score=2, judged_through=3))
    export(export_source(story), tmp_path / "more", ExportOptions(min_score=2))
    for path in (tmp_path / "before").iterdir():
        assert (tmp_path / "same" / path.name).read_bytes() == path.read_bytes(), path.name
    assert len(lineage(tmp_path / "more")) == len(lineage(tmp_path / "before")) + 1
    with pytest.raises(RunError, match="no offset 9 of judged"):
        export(export_source(story), tmp_path / "none", ExportOptions(min_score=2, judged_through=9))


def test_an_export_wants_one_judge(story: ToldRun, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No judge has judged"):
        export(export_source(whole_run()), tmp_path / "a", ExportOptions(min_score=1))
    tell_judgement(story, ROWS[0], "1\nOf no help.", HELPFUL)
    with pytest.raises(ConfigurationError, match="Choose one with --judge"):
        export(export_source(story), tmp_path / "a", ExportOptions(min_score=1))
    with pytest.raises(RunError, match="No judge called 'me'"):
        export(export_source(story), tmp_path / "a", ExportOptions(min_score=1, judge="me"))
    export(export_source(story), tmp_path / "a", ExportOptions(min_score=1, judge="helpfulness/1/big"))
    assert [line["score"] for line in lineage(tmp_path / "a")] == [1.0]


def test_a_row_is_explained_with_what_was_made_of_it(story: ToldRun, capsys: pytest.CaptureFixture[str]) -> None:
    found = explain(source_of(story), ROWS[3])
    assert found.instruction is not None
    (judged,) = found.instruction.judged
    assert (judged.judge, judged.score, judged.reason, judged.raws) == (
        "accuracy/1/big",
        2.0,
        "False.\nNobody lives there.",
        (RAWS[3],),
    )
    show_explanation(found)
    assert "accuracy/1/big: 2 of 0 to 5, $0.2500" in capsys.readouterr().out
    other = explain(source_of(story), ROWS[4]).instruction
    assert other is not None
    assert other.judged == ()


def test_a_judgement_in_a_line(story: ToldRun) -> None:
    lines = [summary(entry.event) for _, entry in story.events(InstructionJudged)]
    assert lines[1].startswith("4.5 of 5 by accuracy/1/big, cluster ")
    assert lines[2].startswith("no score by accuracy/1/big")


def test_an_audit_reads_every_answer_again(story: ToldRun) -> None:
    before, found = audit(source_of(whole_run())), audit(source_of(story))
    assert found.by_kind == before.by_kind
    assert found.checked["judged"] == 4
    assert found.records == before.records + 3 * 4
    again = whole_run()
    for id, raw in zip(ROWS, RAWS, strict=False):
        tell_judgement(again, id, raw, cost_usd=0.75)
    assert audit(source_of(again)).digests == found.digests, "money is not in them"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"score": 4.5}, "read"),
        ({"score": None}, "read"),
        ({"reason": "Because."}, "read"),
        ({"cluster": 7}, "altered"),
        ({"place": 1}, "altered"),
        ({"answers": ()}, "read"),
    ],
)
def test_an_audit_finds_a_judgement_that_is_not_what_its_answer_says(said: dict[str, Any], kind: str) -> None:
    story = whole_run()
    before = audit(source_of(story)).by_kind
    tell_judgement(story, ROWS[0], "5\nTrue.", **said)
    found = audit(source_of(story))
    assert found.divergences == sum(before.values()) + 1
    assert found.by_kind.get(kind, 0) == before.get(kind, 0) + 1
    (told,) = [one for one in found.found if one.topic == "judged"]
    assert (told.kind, told.partition, told.offset, told.generated_offset) == (kind, 0, 0, 0)


def test_an_audit_finds_a_judgement_of_a_row_that_was_not_kept_and_an_answer_that_nobody_gave() -> None:
    story = whole_run()
    before = audit(source_of(story)).by_kind
    judgement = ids.judgement_id(row_id(9, 9), ACCURATE.name)
    answer = CallAnswered(
        request_id=ids.request_id(judgement, 0),
        attempt=1,
        model="big",
        raw="3\nSo.",
        finish_reason="stop",
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )
    event = InstructionJudged(
        kept_id=row_id(9, 9),
        generated_offset=0,
        place=9,
        cluster=0,
        judge=ACCURATE,
        scale=SCALE,
        score=3.0,
        reason="So.",
        answers=(answer,),
        cost_usd=None,
    )
    story.tell(event, id=judgement, key=row_id(9, 9))
    found = audit(source_of(story)).by_kind
    assert {kind: number - before.get(kind, 0) for kind, number in found.items() if number != before.get(kind, 0)} == {
        "unexpected": 1,
        "answer": 1,
    }


def test_a_judgement_under_another_id_than_its_own_is_not_read(story: ToldRun) -> None:
    place, entry = next(story.events(InstructionJudged))
    story.written[place] = Written(entry.topic, entry.partition, entry.event, ids.run_id("other"), entry.key)
    assert report(source_of(story)).unreadable == {"judged": 1}


def test_an_archive_from_before_there_were_judges_is_read_as_one_without_judgements(tmp_path: Path) -> None:
    records = list(whole_run().records())
    places = sorted({record.place for record in records})
    files = []
    for topic, partition in places:
        lines = b"".join(line_of(record) for record in records if record.place == (topic, partition))
        (tmp_path / f"{topic}-{partition}.jsonl").write_bytes(lines)
        count = lines.count(b"\n")
        files.append(
            ArchiveFile(
                name=f"{topic}-{partition}.jsonl",
                topic=topic,
                partition=partition,
                start=0,
                end=count,
                records=count,
                sha256="",
            )
        )
    manifest = ArchiveManifest(format=FORMAT, run="demo", files=tuple(files))
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    source = ArchiveSource(tmp_path)
    with source.open(["kept", "judged", "judged.dlq"]) as reading:
        assert {place: end for place, end in reading.ends().items() if place[0] != "kept"} == {
            ("judged", 0): 0,
            ("judged.dlq", 0): 0,
        }
        assert reading.starts()["judged", 0] == 0
        reading.seek("judged", 0, 5)
        assert reading.next("judged", 0) is None
        assert {record.topic for record in reading.rest()} == {"kept"}
    with pytest.raises(RunError, match=r"has no topic kept\.dlq"):
        source.open(["judged", "kept.dlq"])
    assert audit(source).checked == audit(source_of(whole_run())).checked
