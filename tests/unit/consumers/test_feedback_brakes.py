"""Feedback that the policy slows down, for those who read the log: decided again, decided otherwise, explained."""

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from consumers.explain.story import explain
from consumers.feedback_terms import OUTCOMES, VERDICTS
from consumers.replay import AuditExtent, audit
from consumers.replay.digests import command_content
from consumers.replay.what_if import what_if
from consumers.summary import summary
from infra.log.record import Record
from infra.log.run import configuration
from schemas.events import CandidateVerdict, FeedbackOutcome, ReplaceSeeds
from schemas.policy import policy_for, policy_with
from sedi.explain_panels import show_explanation
from sedi.main import main
from tests.golden import HERE
from tests.harness.script import Generation, Judgement, Window
from tests.harness.stream import Stream
from tests.unit.consumers.recorded_run import POLICY, row_id, source_of, whole_run
from tests.unit.core.conftest import configured, own_seeds

TEXTS = [seed.instruction for seed in own_seeds()[12:]]
SETTINGS = {"batch_size": 4, "refit_from": 64, "window_steps": 2, "warm_up_steps": 2}


def played(**changes: object) -> Stream:
    """Three windows, of which the second and third may replace seeds; every other row is judged to be good."""
    run = configured(policy_for(**SETTINGS, **changes), own_seeds()[:12])
    tasks = [Generation((*TEXTS[start : start + 8], "Draw it")) for start in range(0, 40, 8)]
    scored = Judgement((5.0, 3.5))
    return Stream(run).play(*tasks[:2], Window(), tasks[2], scored, Window(), *tasks[3:], scored, Window())


def commands(stream: Stream) -> list[ReplaceSeeds]:
    return [r.event for r in stream.log.records("seed-commands") if isinstance(r.event, ReplaceSeeds)]


def rewritten(stream: Stream, place: int, topic: str = "seed-commands", **fields: object) -> Stream:
    """The record at an offset, by default a command, says something else."""
    records = stream.log.records(topic)
    old = records[place]
    value = json.dumps(json.loads(old.value or b"") | fields).encode()
    records[place] = Record(old.topic, old.partition, old.offset, old.timestamp_ms, old.key, value, old.headers)
    return stream


# -- decided again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "brakes",
    [
        {"max_replacements": 1},
        {"min_showings": 2},
        {"victim_max_score": 0.5},
        {"feedback_borrowed": False},
        {"candidate_min_score": 4.0},
        {"count_rule_rejections": True},
    ],
    ids=lambda brakes: next(iter(brakes)),
)
def test_a_run_with_a_brake_is_decided_again_without_a_difference(brakes: dict[str, object]) -> None:
    stream = played(**brakes)
    stream.as_undisturbed()
    assert [command.window for command in commands(stream)] == [0, 1, 2]


def test_a_command_with_other_scores_of_the_judge_than_it_says_is_found() -> None:
    stream = played(candidate_min_score=4.0)
    assert commands(stream)[1].outcome == "replaced"
    assert audit(rewritten(stream, 1, judged_offset=-1).log).by_kind == {"outcome": 1}


def test_a_command_that_reflects_scores_which_are_not_on_the_log_is_found() -> None:
    stream = played(candidate_min_score=4.0)
    found = audit(rewritten(stream, 2, judged_offset=10**6).log)
    assert found.by_kind == {"unexpected": 1} and found.first is not None
    assert "reflects offset 1000000 of judged, whose last is" in found.first.what


def test_a_command_that_names_a_judges_score_in_a_run_without_one_is_found() -> None:
    assert audit(rewritten(played(), 1, judged_offset=3).log).by_kind == {"altered": 1}


def test_a_victims_score_is_right_also_where_generations_before_are_taken_as_recorded() -> None:
    found = audit(played().log, AuditExtent(from_offset=2))
    assert found.divergences == 0, found.first
    assert found.checked["commands"] == 3


def test_a_wrong_total_of_the_filter_leads_to_no_wrong_score() -> None:
    assert audit(rewritten(played(), 1, "rejected", generated_total=999).log).by_kind == {"counts": 1}


def test_two_workers_that_answer_a_window_by_different_scores_both_are_right_and_the_first_counts() -> None:
    stream = played(candidate_min_score=4.0)
    (last,) = stream.log.records("seed-commands")[-1:]
    stream.log.append("seed-commands", 0, last.key, last.value, last.headers)
    found = audit(rewritten(stream, 3, judged_offset=5).log)
    assert found.divergences == 0, found.first
    assert found.repeats == {"seed-commands": 1}


def test_judgements_are_checked_whether_or_not_a_window_needed_them() -> None:
    needed, not_needed = (audit(played(**brakes).log) for brakes in ({"candidate_min_score": 4.0}, {}))
    assert needed.checked["judged"] == not_needed.checked["judged"] > 0
    assert needed.digests["judged"] == not_needed.digests["judged"]


def test_a_command_of_before_has_the_digest_that_it_had(examples_of_replace_seeds: list[dict[str, object]]) -> None:
    old, new = examples_of_replace_seeds
    event = msgspec.convert(new, ReplaceSeeds)
    assert command_content(event) == msgspec.json.encode(old)
    assert command_content(msgspec.structs.replace(event, judged_offset=0)) == msgspec.json.encode(
        new | {"judged_offset": 0}
    )


@pytest.fixture
def examples_of_replace_seeds() -> list[dict[str, object]]:
    folder = Path(__file__).parents[3] / "schemas" / "examples"
    return [json.loads((folder / f"ReplaceSeeds.v{version}.json").read_text())["value"] for version in (1, 2)]


# -- decided otherwise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brakes", "replacements"),
    [
        ({}, 8),
        ({"max_replacements": 1}, 2),
        ({"min_showings": 2}, 5),
        ({"victim_max_score": 0.5}, 0),
        ({"feedback_borrowed": False}, 4),
        ({"candidate_min_score": 4.0}, 4),
        ({"count_rule_rejections": True}, 8),
    ],
    ids=lambda value: str(next(iter(value), "none")) if isinstance(value, dict) else "",
)
def test_a_what_if_takes_each_brake(brakes: dict[str, object], replacements: int) -> None:
    log = played().log
    found = what_if(log, policy_with(configuration(log)[0].policy, **brakes))
    assert found.real.replacements == 8 and found.real.windows == found.what_if.windows == 3
    assert found.what_if.replacements == replacements
    assert replacements == sum(len(command.replacements) for command in commands(played(**brakes)))
    assert found.changed.keys() == brakes.keys()


def test_a_what_if_goes_by_the_scores_that_the_run_went_by_or_else_by_all_there_are() -> None:
    late = Stream(configured(policy_for(**SETTINGS, candidate_min_score=4.0), own_seeds()[:12]))
    tasks = [Generation(tuple(TEXTS[start : start + 8])) for start in range(0, 24, 8)]
    late.play(*tasks[:2], Window(), Judgement((5.0, 3.5)), tasks[2], Window(), Judgement((5.0, 3.5)))
    own = what_if(late.log, configuration(late.log)[0].policy)
    assert own.real == own.what_if and own.real.windows == 2
    without = played().log
    asked = what_if(without, policy_with(configuration(without)[0].policy, candidate_min_score=4.0))
    assert 0 < asked.what_if.replacements < asked.real.replacements
    nobody = what_if(without, policy_with(configuration(without)[0].policy, candidate_min_score=5.5))
    assert nobody.what_if.replacements == 0


def test_which_rows_were_borrowed_does_not_depend_on_the_clusters_of_the_what_if() -> None:
    log = played(clusters=1, feedback_borrowed=False).log
    found = what_if(log, policy_with(configuration(log)[0].policy, clusters=4))
    assert found.what_if.replacements == found.real.replacements > 0


def test_the_command_line_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(HERE / "undisturbed")
    assert main(["replay", "--from-files", folder, "--set", "max_replacements=1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["what_if"]["replacements"] < found["real"]["replacements"]
    assert main(["replay", "--from-files", folder, "--set", "candidate_min_score=nan"]) == 2


# -- explained -----------------------------------------------------------------------------------------------------


def test_every_outcome_and_every_verdict_has_a_phrase() -> None:
    assert set(OUTCOMES) == set(get_args(FeedbackOutcome))
    assert set(VERDICTS) == set(get_args(CandidateVerdict))


def test_a_candidate_over_the_limit_is_explained_with_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    stream = played(max_replacements=1)
    over = next(c for command in commands(stream) for c in command.candidates if c.verdict == "over_limit")
    show_explanation(explain(stream.log, over.id))
    text = capsys.readouterr().out
    assert "as a seed: over_limit: rows before it used up the window's max_replacements, which is 1" in text


def test_a_candidate_whose_score_was_too_low_is_explained_with_the_least_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = played(candidate_min_score=4.0)
    low = next(c for command in commands(stream) for c in command.candidates if c.verdict == "low_score")
    show_explanation(explain(stream.log, low.id))
    text = capsys.readouterr().out
    assert "as a seed: low_score: the judge's score is missing or below candidate_min_score, which is 4.0" in text
    assert "accuracy/1/none: 3.5 of 0 to 5" in text


def test_a_seeds_story_tells_what_did_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    story = whole_run(policy=policy_with(POLICY, count_rule_rejections=False))
    found = explain(source_of(story), row_id(0, 0))
    assert found.seed is not None
    assert (found.seed.generated, found.seed.kept, found.seed.score) == (1, 1, 1.0)
    assert found.seed.score == story.state.scores[row_id(0, 0)].value
    assert [(g.generated, g.kept, g.uncounted, g.score) for g in found.seed.generations] == [
        (2, 1, 1, 1.0),
        (2, 0, 2, 1.0),
        (None, None, None, None),
    ]
    show_explanation(found)
    assert "(1/1, 1 not counted)" in capsys.readouterr().out


def test_the_tail_says_why_a_window_replaced_nothing_and_what_became_of_its_rows() -> None:
    first, second, _ = (summary(command) for command in commands(played(max_replacements=1)))
    assert first == "epoch 1 window 0: warm_up (all steps are among the policy's warm_up_steps)"
    assert "; rows: 1 taken, 3 over_limit" in second


def test_the_history_of_seeds_counts_the_verdicts_and_the_windows_that_replaced_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(HERE / "undisturbed")
    assert main(["seeds", "history", "--from-files", folder, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["verdicts"]["taken"] >= 1 for row in rows)
    assert main(["seeds", "history", "--from-files", folder]) == 0
    text = capsys.readouterr().out
    assert OUTCOMES["warm_up"] in text and VERDICTS["similar_to_seed"] in text
