"""The answer to a kept instruction: read as in a generation, with a verdict of its own."""

import msgspec
import pytest

from schemas import ids
from schemas.events import CallAnswered, InstructionAnswered, InstructionKept, InstructionsGenerated, Unparsed
from schemas.policy import Policy, policy_for
from streams.core.answering import by_step, read_again, read_answer, rows_topic, usable_row
from streams.core.decider import decide
from streams.core.parse.answers import READING
from tests.unit.core.conftest import fresh_state, generation

ROW = InstructionKept(
    id=ids.instruction_id(ids.generation_id("main", 0), 2),
    instruction="Name a city on a river.",
    input="",
    output="",
    generation_id=ids.generation_id("main", 0),
    generated_offset=7,
    place=2,
    cluster=1,
    classifier_offset=0,
)
POLICY = policy_for(answer="kept")


def answered(step: int, raw: str, finish_reason: str | None = "stop") -> CallAnswered:
    return CallAnswered(
        request_id=ids.request_id(ids.answered_id(ROW.id), step),
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


@pytest.mark.parametrize(
    ("style", "raws", "found"),
    [
        ("two-step", [" Vienna. "], ("", "Vienna.", None)),
        ("two-step", ["<think>Hm.</think>Vienna."], ("", "Vienna.", None)),
        ("two-step", ["  "], ("", "", "empty_output")),
        ("self-instruct", ["No", "Example 1\nInput: the Danube\nOutput: Vienna."], ("the Danube", "Vienna.", None)),
        ("self-instruct", ["yes", "Class label: river\nInput: the Danube"], ("the Danube", "river", None)),
        ("self-instruct", ["yes", "I cannot."], ("", "", "empty_output")),
    ],
)
def test_an_answer_is_read_as_in_a_generation(style: str, raws: list[str], found: tuple[str, str, str | None]) -> None:
    row, _, reason = read_answer(POLICY, ROW, style, {step: answered(step, raw) for step, raw in enumerate(raws)})
    assert (row.input, row.output, reason) == found
    assert msgspec.structs.replace(row, input="", output="") == ROW


@pytest.mark.parametrize(("reject_cut", "reason"), [(True, "cut_output"), (False, None)])
def test_a_cut_answer_is_not_used_unless_the_policy_takes_cut_ones(reject_cut: bool, reason: str | None) -> None:
    policy = policy_for(answer="kept", reject_cut=reject_cut)
    assert read_answer(policy, ROW, "two-step", {0: answered(0, "Vien", "length")}).reason == reason


def test_a_request_that_failed_for_good_is_the_reason_and_is_read_again_as_such() -> None:
    failure = Unparsed(reason="flagged", text="The endpoint refused it.")
    kind = {0: answered(0, "neither")}
    found = read_answer(POLICY, ROW, "self-instruct", kind, failure)
    assert found.reason == "flagged" and found.unparsed[-1] == failure
    event = _event("self-instruct", found.row, tuple(kind.values()), found.unparsed, found.reason)
    assert read_again(POLICY, event, ROW) == found
    assert usable_row(event) is None


def test_answers_to_other_requests_are_none_of_the_row() -> None:
    other = msgspec.structs.replace(answered(0, "Graz."), request_id=ids.request_id(ROW.generation_id, 3))
    assert by_step("two-step", ROW.id, (other,)) == {}
    assert by_step("two-step", ROW.id, (other, answered(0, "Linz."))) == {0: answered(0, "Linz.")}


def test_an_altered_output_is_not_what_is_read_again() -> None:
    found = read_answer(POLICY, ROW, "two-step", {0: answered(0, "Vienna.")})
    event = _event("two-step", found.row, (answered(0, "Vienna."),), found.unparsed, None)
    assert read_again(POLICY, event, ROW).row == usable_row(event) == found.row
    altered = msgspec.structs.replace(event, row=msgspec.structs.replace(found.row, output="Rome."))
    assert read_again(POLICY, altered, ROW).row != altered.row


def test_a_row_with_an_output_is_used_as_it_was_kept() -> None:
    row = msgspec.structs.replace(ROW, output="Vienna.")
    assert read_answer(POLICY, row, "", {}) == (row, (), None)


def _event(
    style: str,
    row: InstructionKept,
    answers: tuple[CallAnswered, ...],
    unparsed: tuple[Unparsed, ...],
    reason: str | None,
) -> InstructionAnswered:
    return InstructionAnswered(
        row=row,
        style=style,
        backend="openai",
        model="m",
        parameters={},
        answers=answers,
        unparsed=unparsed,
        reason=reason,
        cost_usd=None,
        reading=READING,
    )


@pytest.mark.parametrize(
    ("policy", "style", "kept"),
    [
        (policy_for(answer="kept", clusters=1), "two-step", True),
        (policy_for(answer="kept", clusters=1), "self-instruct", True),
        (policy_for(answer="kept", clusters=1), "alpaca", False),
        (policy_for(clusters=1), "two-step", False),
    ],
)
def test_the_filter_decides_without_the_output_where_it_is_asked_for_later(
    policy: Policy, style: str, kept: bool
) -> None:
    event: InstructionsGenerated = generation(0, ["Name a city on a river."])
    event = msgspec.structs.replace(
        event, style=style, instructions=tuple(msgspec.structs.replace(task, output="") for task in event.instructions)
    )
    verdict = decide(fresh_state(policy), 0, ids.generation_id(event.lane, event.number), event)
    assert bool(verdict.decision.kept) is kept
    assert [rejection.reason for rejection in verdict.rejected.rejections] == ([] if kept else ["empty_output"])


def test_rows_are_read_where_the_policy_puts_them() -> None:
    assert (rows_topic(POLICY), rows_topic(Policy())) == ("answered", "kept")
    assert usable_row(ROW) == ROW and usable_row(Unparsed(reason="", text="")) is None
