"""What models write is parsed to one instruction, and the answers of a generation to places with their scores."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.events import CallAnswered, Instruction, InstructionsGenerated
from schemas.segments import Scorer, Segment, SegmentScores
from streams.core.parse.answers import by_step, form_of, read, read_candidates
from streams.core.parse.candidates import MOST_CHARACTERS, parse_candidate

SCORER = Scorer(backend="local", model="tiny", sha256=None, template="chat", version=1)
SEGMENT = Segment(
    id="s", document_id="d", documents_offset=0, number=0, strategy="random", spans=((0, 9),), text="Iron rusts."
)
GENERATION = ids.generation_id("documents", 3)


@pytest.mark.parametrize(
    ("text", "instruction", "input", "left"),
    [
        ("Name a metal that rusts.", "Name a metal that rusts.", "", []),
        ("  Instruction: Name a metal.\n", "Name a metal.", "", []),
        ("**Instruction:** Name a metal.", "Name a metal.", "", []),
        ("### Instruction:\nName a metal.", "Name a metal.", "", []),
        ("1. Instruction: Name a metal.", "Name a metal.", "", []),
        ("Sum up.\nInput: Iron and\nwater.", "Sum up.", "Iron and\nwater.", []),
        ("Sum up.\n\n**Input:** Iron.\n\nAnd water.", "Sum up.", "Iron.\n\nAnd water.", []),
        ("Sum up.\nInput: <noinput>", "Sum up.", "", []),
        ('"Name a metal."', "Name a metal.", "", []),
        ("“Name a metal.”", "Name a metal.", "", []),
        ('"Name a metal.', "Name a metal.", "", []),
        ('"Iron" and "rust": relate the words.', '"Iron" and "rust": relate the words.', "", []),
        ("Name a metal.\n\nName a stone.", "Name a metal.", "", ["extra"]),
        ("Name a metal.\nInstruction: Name a stone.", "Name a metal.", "", ["extra"]),
        ("1. Name a metal.\n2. Name a stone.", "Name a metal.", "", ["extra"]),
        ("- Name a metal.\n- Name a stone.", "Name a metal.", "", ["extra"]),
        ("Name a metal:\n\n- red\n- soft", "Name a metal:\n\n- red\n- soft", "", []),
        ("Name a metal.\nOutput: Iron.", "Name a metal.", "", ["output"]),
        ("Name a metal.\n\n### Response:\nIron.\n\nInstruction: x", "Name a metal.", "", ["output"]),
        ("Sum up.\nInput: Iron.\nAnswer: Rust.", "Sum up.", "Iron.", ["output"]),
    ],
)
def test_the_first_instruction_is_taken_without_what_is_around_it(
    text: str, instruction: str, input: str, left: list[str]
) -> None:
    found = parse_candidate(text)
    assert found.task == Instruction(instruction=instruction, input=input)
    assert [part.reason for part in found.unparsed] == left


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("", ["empty"]),
        ("Instruction:", ["empty"]),
        ('""', ["empty"]),
        ("Output: Iron.", ["empty", "output"]),
        ("\n\nInput: Iron.", ["empty"]),
        ("x" * (MOST_CHARACTERS + 1), ["oversized"]),
        ("Sum up.\nInput: " + "x" * (MOST_CHARACTERS + 1), ["oversized"]),
    ],
)
def test_without_an_instruction_the_reason_is_said(text: str, reasons: list[str]) -> None:
    found = parse_candidate(text)
    assert found.task is None
    assert [part.reason for part in found.unparsed] == reasons


PIECES = st.sampled_from([*"aI1.-:\n\"'* #“”", "Input:", "Instruction:", "Output:", "\n\n", "1. ", "- "])


@given(st.lists(PIECES, max_size=20).map("".join))
def test_every_text_gives_a_task_or_a_reason(text: str) -> None:
    found = parse_candidate(text)
    assert found.task is not None or found.unparsed
    if found.task is not None:
        assert found.task.instruction == found.task.instruction.strip() != ""


def answered(step: int, raw: str, finish_reason: str = "stop") -> CallAnswered:
    return CallAnswered(
        request_id=ids.request_id(GENERATION, step),
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


def scored(*sums: float | None, **changes: Any) -> str:
    scores = SegmentScores(scorer=SCORER, tokens=4, unconditional=-20.0, candidates=sums, **changes)
    return msgspec.json.encode(scores).decode()


def event(*answers: CallAnswered, candidates: int = 4, **parameters: int) -> InstructionsGenerated:
    return InstructionsGenerated(
        lane="documents",
        number=3,
        style="documents",
        parser="strict",
        backend="recorded",
        model="m",
        parameters={"candidates": candidates, **parameters},
        seed_ids=(),
        seed_commands_offset=-1,
        answers=answers,
        instructions=(),
        unparsed=(),
        cost_usd=None,
        reading=2,
        segment=SEGMENT,
    )


def test_places_and_scores_are_those_of_the_candidates_that_were_read() -> None:
    made = event(
        answered(4, scored(-8.0, None)),  # in any order
        answered(0, "I cannot.", "refusal"),
        answered(1, "Name a metal."),
        answered(2, "Instruction: Name a metal."),
        answered(3, "Name the process.\n\nName another."),
    )
    found = read_candidates(form_of(made), by_step(made))
    assert [(task.instruction, task.output) for task in found.instructions] == [
        ("Name a metal.", "Iron rusts."),
        ("Name the process.", "Iron rusts."),
    ]
    assert [part.reason for part in found.unparsed] == ["refused", "repeated", "extra"]
    assert found.steps == (1, 3)
    assert found.scores is not None
    assert found.scores.candidates == (-8.0, None)
    assert read(form_of(made), by_step(made)) == (found.instructions, found.unparsed, found.cut)


def test_a_truncated_instruction_is_cut_unless_something_follows_it() -> None:
    made = event(
        answered(0, "Name a metal that", "length"),
        answered(1, "Name a process.\n\nAnd then", "length"),
        answered(2, "Sum up.\nInput: Iron and", "length"),
    )
    assert read(form_of(made), by_step(made)).cut == (0, 2)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{}",
        scored(-8.0),
        scored(-8.0, -9.0, -10.0),
        scored(-8.0, -9.0, heads=(-1.0,)),
        scored(-8.0, -9.0).replace("-9.0", "1e999"),
        scored(-8.0, -9.0).replace('"tokens":4', '"tokens":-4'),
    ],
)
def test_damaged_scores_are_none_and_left_unparsed(raw: str) -> None:
    made = event(answered(0, "Name a metal."), answered(1, "Name a process."), answered(2, raw), candidates=2)
    found = read_candidates(form_of(made), by_step(made))
    assert found.scores is None
    assert [(part.reason, part.text) for part in found.unparsed] == [("unreadable_scores", raw)]


def test_a_rewrite_is_the_output_of_the_instruction_it_was_made_for() -> None:
    answers = [answered(0, "Name a metal."), answered(1, "Name a process."), answered(2, scored(-8.0, -9.0))]
    made = event(*answers, answered(3, " Rusting. "), candidates=2, rewritten=1)
    assert [task.output for task in read(form_of(made), by_step(made)).instructions] == ["Iron rusts.", "Rusting."]
    cut = event(*answers, answered(3, "Rus", "length"), candidates=2, rewritten=1)
    assert read(form_of(cut), by_step(cut)).cut == (1,)
    empty = event(*answers, answered(3, " "), candidates=2, rewritten=1)
    found = read(form_of(empty), by_step(empty))
    assert [task.output for task in found.instructions] == ["Iron rusts.", "Iron rusts."]
    assert [part.reason for part in found.unparsed] == ["empty_rewrite"]
    for another in (
        event(*answers, answered(3, "x"), candidates=2),
        event(*answers, answered(3, "x"), candidates=2, rewritten=2),
    ):
        assert {task.output for task in read(form_of(another), by_step(another)).instructions} == {"Iron rusts."}


def test_a_number_of_candidates_that_cannot_be_is_none() -> None:
    for candidates in (-1, 0, 10**12):
        made = event(answered(0, "Name a metal."), candidates=candidates)
        assert read(form_of(made), by_step(made)).instructions == ()
