"""An audit decides an evaluation again: what was altered in it is found, and named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from consumers.evaluation.report import evaluation_report
from consumers.replay import Audit, audit
from consumers.replay.parallel import recomputed
from infra.log.archive import ArchiveSource
from schemas import ids
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from schemas.events import Event
from sedi.main import main
from sedi.options import ExitCode
from tests.golden import HERE
from tests.unit.consumers.evaluated_run import (
    ARC,
    ASKED,
    FILED,
    MINE,
    archived,
    called,
    evaluated_run,
    evaluation,
    given,
    judged,
    loglikelihoods,
)
from tests.unit.consumers.recorded_run import ToldRun, source_of, whole_run
from tests.unit.consumers.story import Written

SOUND = HERE / "undisturbed"
TOPICS = {"measured", "answers", "judgements"}


def audited(story: ToldRun, folder: Path) -> Audit:
    return audit(archived(story, folder / "log", after=SOUND))


def test_a_sound_evaluation_is_counted_and_the_rest_of_the_log_is_as_without_it(tmp_path: Path) -> None:
    story = evaluation()
    found, before = audited(story, tmp_path), audit(ArchiveSource(SOUND))
    assert (found.divergences, found.repeats, found.unreadable) == (0, {}, {}), found.first
    new = {"measured": 3, "answers_given": 8, "answers_judged": 3}
    assert found.checked.items() >= new.items()
    assert not before.checked.keys() & new.keys() and "evaluation" not in msgspec.to_builtins(before)
    assert {topic: sha for topic, sha in found.digests.items() if topic not in TOPICS} == before.digests
    assert found.digests.keys() - before.digests.keys() == TOPICS
    assert found.records == before.records + len(story.written)


def test_a_disturbed_evaluation_has_the_same_digests_and_its_repeats_are_counted(tmp_path: Path) -> None:
    story, quiet = evaluation(), evaluation()
    for kind in (QuestionMeasured, AnswerGiven, AnswersJudged):
        place, entry = next(story.events(kind))
        story.written.insert(place + 1, entry)
    found = audited(story, tmp_path)
    assert found.divergences == 0
    assert found.repeats == {"measured": 1, "answers": 1, "judgements": 1}
    assert found.digests == audit(archived(quiet, tmp_path / "quiet", after=SOUND)).digests


def altered(kind: type[Event], nth: int = 0, **fields: Any) -> Callable[[ToldRun], None]:
    return lambda story: story.change(kind, nth, **fields)


def renamed(kind: type[Event], nth: int = 0, id: str = "no-id") -> Callable[[ToldRun], None]:
    def rename(story: ToldRun) -> None:
        place, entry = list(story.events(kind))[nth]
        story.written[place] = Written(entry.topic, entry.partition, entry.event, id, id)

    return rename


def turned(story: ToldRun) -> None:
    """The first judgement says that its answers were shown the other way round."""
    _, entry = next(story.events(AnswersJudged))
    assert isinstance(entry.event, AnswersJudged)
    story.change(AnswersJudged, 0, answer_ids=entry.event.answer_ids[::-1], models=entry.event.models[::-1])


def raw_altered(kind: type[AnswerGiven | AnswersJudged], **fields: Any) -> Callable[[ToldRun], None]:
    """The raw answer in an event, and what it is read as, differ from what is on `calls`."""

    def alter(story: ToldRun) -> None:
        _, entry = next(story.events(kind))
        assert isinstance(entry.event, AnswerGiven | AnswersJudged)
        answer = msgspec.structs.replace(entry.event.answers[0], raw=fields.pop("raw"))
        story.change(kind, 0, answers=(answer,), **fields)

    return alter


def without_calls(kind: type[Event], nth: int, **fields: Any) -> Callable[[ToldRun], None]:
    return altered(kind, nth, answers=(), **fields)


def made_a_files(story: ToldRun) -> None:
    """An answer that a call gave is said to be of a file, with another text; its model's key stays the same."""
    story.change(AnswerGiven, 0, model=replace(MINE, kind="file"), answers=(), text="Eat it.")


def judged_unknown(story: ToldRun) -> None:
    """A judgement of answers that are not on the log."""
    judged(story, 3, ["5 5\nEqual."])
    story.written = [
        entry
        for entry in story.written
        if not (isinstance(entry.event, AnswerGiven) and entry.event.model == FILED and entry.event.prompt_id == "p3")
    ]


def asked_again(story: ToldRun) -> None:
    """A judge was asked once more after scores that could be read."""
    judged(story, 3, ["5 5\nEqual.", "8 2\nNo."])


def twice_with_another_verdict(story: ToldRun) -> None:
    loglikelihoods(story, (-9.0, -1.0, -9.0), 0)


FAULTS: dict[str, tuple[Callable[[ToldRun], None], str, int, dict[str, int]]] = {
    "the chosen place": (altered(QuestionMeasured, chosen=1), "measured", 0, {"read": 1}),
    "the place per character": (altered(QuestionMeasured, 2, chosen_per_character=2), "measured", 2, {"read": 1}),
    "a log-likelihood": (altered(QuestionMeasured, 1, loglikelihoods=(-1.0, -2.0, -9.0)), "measured", 1, {"read": 1}),
    "a choice too few": (altered(QuestionMeasured, 1, choices=("a", "b")), "measured", 1, {"altered": 1}),
    "no right choice": (altered(QuestionMeasured, 1, gold=3), "measured", 1, {"altered": 1}),
    "the question's name": (altered(QuestionMeasured, 1, question_id="q7"), "measured", 1, {"altered": 1}),
    "an id of a question": (renamed(QuestionMeasured, 1), "measured", 1, {"altered": 1}),
    "a question twice": (twice_with_another_verdict, "measured", 3, {"altered": 1}),
    "an answer's text": (altered(AnswerGiven, text="Keep it in the freezer."), "answers", 0, {"read": 1}),
    "an answer's outcome": (altered(AnswerGiven, 4, outcome="answered", reason=""), "answers", 4, {"read": 1}),
    "a raw answer": (raw_altered(AnswerGiven, raw="Eat it.", text="Eat it."), "answers", 0, {"answer": 1}),
    "an answer left out": (
        without_calls(AnswerGiven, 2, outcome="failed", text="", reason="timeout"),
        "answers",
        2,
        {"answer": 1},
    ),
    "a text without a call": (without_calls(AnswerGiven, 0), "answers", 0, {"read": 1, "answer": 1}),
    "an answer that is said to be of a file": (made_a_files, "answers", 0, {"answer": 1}),
    "an id of an answer": (renamed(AnswerGiven), "answers", 0, {"altered": 1}),
    "another id of an answer": (renamed(AnswerGiven, 0, ids.run_id("x")), "answers", 0, {"altered": 1}),
    "another model's answer": (altered(AnswerGiven, 7, model=MINE), "answers", 7, {"altered": 1, "read": 1}),
    "a judge's score": (altered(AnswersJudged, scores=(9.0, 6.5)), "judgements", 0, {"read": 1}),
    "a judge's reason": (altered(AnswersJudged, reason="It is kinder."), "judgements", 0, {"read": 1}),
    "a score that nobody gave": (altered(AnswersJudged, 2, scores=(1.0, 9.0)), "judgements", 2, {"read": 1}),
    "scores left out": (altered(AnswersJudged, scores=None), "judgements", 0, {"read": 1}),
    "a judge's raw answer": (
        raw_altered(AnswersJudged, raw="6.5 8\nSo.", scores=(6.5, 8.0), reason="So."),
        "judgements",
        0,
        {"answer": 1},
    ),
    "a judge's answers left out": (without_calls(AnswersJudged, 0, scores=None), "judgements", 0, {"answer": 1}),
    "the order of the answers": (turned, "judgements", 0, {"altered": 1}),
    "a judgement's models": (altered(AnswersJudged, models=(FILED.key, MINE.key)), "judgements", 0, {"altered": 1}),
    "a judgement's prompt": (altered(AnswersJudged, prompt_id="p1"), "judgements", 0, {"altered": 1}),
    "an id of a judgement": (renamed(AnswersJudged), "judgements", 0, {"altered": 1}),
    "answers that are not there": (judged_unknown, "judgements", 3, {"unexpected": 1}),
    "a request after scores": (asked_again, "judgements", 3, {"read": 1}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_was_altered_is_found_at_its_place(name: str, tmp_path: Path) -> None:
    fault, topic, offset, kinds = FAULTS[name]
    story = evaluation()
    fault(story)
    found = audited(story, tmp_path)
    assert found.by_kind == kinds, found.found
    assert {(one.topic, one.offset) for one in found.found} == {(topic, offset)}
    assert all(f"(at {offset} of {topic})" in one.what or name == "a question twice" for one in found.found)


def test_what_cannot_be_read_is_told_apart_from_what_was_altered(tmp_path: Path) -> None:
    story = evaluation()
    place, entry = next(story.events(QuestionMeasured))
    story.written[place] = Written("judgements", 0, entry.event, entry.id, entry.key)
    found = audited(story, tmp_path)
    assert found.unreadable == {"judgements": 1} and found.divergences == 0
    assert [one.topic for one in found.not_read] == ["judgements"]


def test_a_failed_call_and_a_refusal_need_no_answer_and_a_file_no_call(tmp_path: Path) -> None:
    story = evaluation()
    story.written = [entry for entry in story.written if entry.topic == "measured"]
    given(story, 0, FILED, "So.")
    given(story, 1, FILED, "", outcome="empty")
    for prompt, outcome in ((2, "failed"), (3, "refused")):
        given(story, prompt, answers=(), outcome=outcome, text="", reason="400")
    story.written = [entry for entry in story.written if entry.topic != "calls"]
    found = audited(story, tmp_path)
    assert found.divergences == 0, found.first
    called(story, ids.answer_id(MINE.key, ASKED.key, "p2"), 0, "It came after all.")
    assert audit(archived(story, tmp_path / "late", after=SOUND)).by_kind == {"answer": 1}


def test_aggregates_are_computed_from_what_was_decided_again_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = evaluated_run()
    sound = recomputed(source_of(story))
    (accuracy,) = sound.benchmarks
    assert (accuracy.model, accuracy.benchmark, accuracy.questions) == (MINE.key, ARC.key, 3)
    assert (accuracy.accuracy.value, accuracy.accuracy_per_character.value) == (pytest.approx(2 / 3), 1.0)
    (pair,) = sound.comparisons
    assert {pair.first, pair.second} == {MINE.key, FILED.key}
    assert (pair.scored, pair.win, pair.tie, pair.lose, pair.unread) == (1, 0, 1, 0, 1)
    for change in (altered(QuestionMeasured, 1, chosen=0), altered(AnswersJudged, scores=(1.0, 9.0))):
        change(story)
    assert recomputed(source_of(story)) == sound != evaluation_report(source_of(story))

    lie = evaluation()
    lie.change(QuestionMeasured, 1, chosen=0)
    folder = archived(lie, tmp_path / "log", after=SOUND).folder
    assert main(["replay", "--from-files", str(folder)]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert "66.7 %" in out and "Question q1 of arc_easy" in out and "pair/1/big" in out
    assert main(["replay", "--from-files", str(folder), "--json"]) == ExitCode.FAILED
    told = json.loads(capsys.readouterr().out)
    assert told["evaluation"]["benchmarks"][0]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert told["first"]["recorded"] == {"chosen": 0} and told["first"]["decided"] == {"chosen": 1}


def test_a_run_without_an_evaluation_says_nothing_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--from-files", str(SOUND), "--json"]) == ExitCode.OK
    assert "evaluation" not in json.loads(capsys.readouterr().out)
    assert audit(source_of(whole_run())).digests.keys().isdisjoint(TOPICS)
