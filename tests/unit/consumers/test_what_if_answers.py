"""A what-if tells what a run saves that answers kept instructions alone, and refuses what no log can tell."""

import pytest
from msgspec.structs import replace

from consumers.replay.what_if import what_if
from schemas.errors import ConfigurationError
from schemas.policy import Policy
from sedi.replay_tables import show_what_if
from tests.unit.consumers.answered_run import BREAD, KEPT_POLICY, AnsweredRun, answered_run
from tests.unit.consumers.recorded_run import CHESS, LETTER, POEM, POLICY, RIVERS, RIVERS_AGAIN, SHORT, TREES, source_of

LISTS = ([RIVERS, POEM], [RIVERS_AGAIN, SHORT, LETTER], [TREES, CHESS, BREAD])


def all_answered() -> AnsweredRun:
    """The lists of `answered_run` with an answer to each; those to poem and chess are empty."""
    story = AnsweredRun("demo", policy=POLICY)
    for number, texts in enumerate(LISTS):
        outputs = {place: "" if text in (POEM, CHESS) else "An answer." for place, text in enumerate(texts)}
        story.listed(number, texts, outputs)
    return story


def test_only_answers_to_kept_instructions_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = what_if(source_of(all_answered()), KEPT_POLICY)
    assert found.changed == {"answer": ("all", "kept")}
    real, other = found.real, found.what_if
    assert (real.kept, real.calls, real.usd) == (4, 3 + 8, 11 * 0.25)
    assert real.rejected == {"empty_output": 2, "too_short": 1, "similar": 1} and real.unused == {}
    # poem and chess are kept by the instruction, and their answers paid for and not used
    assert (other.kept, other.calls, other.usd) == (6, 3 + 6, 9 * 0.25)
    assert other.rejected == {"too_short": 1, "similar": 1} and other.unused == {"empty_output": 2}
    assert (found.in_both, found.only_real, found.only_what_if) == (4, 0, 2)
    show_what_if(found)
    out = capsys.readouterr().out
    assert "2 calls (18.2 %)" in out and "saved" in out and "kept, not used: empty_output" in out


def test_the_other_policy_decides_as_a_run_made_with_it() -> None:
    made = answered_run()
    found = what_if(source_of(all_answered()), KEPT_POLICY)
    assert found.what_if.kept + 1 == len(made.kept)  # which decided one more list


def test_a_run_that_answers_all_is_counted_as_before() -> None:
    found = what_if(source_of(all_answered()), replace(POLICY, threshold=0.1))
    assert found.real.calls == found.what_if.calls == 11
    assert "answer" not in found.changed and found.what_if.unused == {}


def test_answers_that_nobody_asked_for_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(answered_run())
    same = what_if(source, KEPT_POLICY)
    assert same.real.calls == same.what_if.calls == 4 + 5
    assert same.real.unused == same.what_if.unused == {"cut_output": 1, "flagged": 1}
    assert same.real.usd == same.what_if.usd == 9 * 0.25
    more = what_if(source, replace(KEPT_POLICY, threshold=0.95, rules=()))
    assert more.only_what_if == 2 and more.real.usd == 9 * 0.25
    assert (more.what_if.calls, more.what_if.usd) == (4 + 5 + 2, None)


@pytest.mark.parametrize("policy", [POLICY, replace(KEPT_POLICY, answer="all")])
def test_a_run_of_kept_answers_cannot_tell_what_all_would_give(policy: Policy) -> None:
    with pytest.raises(ConfigurationError, match=r"made with answer=kept\. Leave out answer=all"):
        what_if(source_of(answered_run()), policy)
