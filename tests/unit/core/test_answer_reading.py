"""Answers in all layouts of models and servers: what is parsed correctly, lost, and invented."""

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.events import CallAnswered, Instruction
from streams.core import decider
from streams.core.judging import score_of
from streams.core.parse.answer_text import answer_text, was_cut
from streams.core.parse.answers import AnswerForm, ParsedAnswers, read
from streams.core.parse.lists import parse_items
from streams.core.thoughts import MARKS, opened
from tests.unit.core.answer_forms import AROUND, BETWEEN, LABELS, TASKS, forms, score
from tests.unit.core.conftest import ONE_CLUSTER, fresh_state, generation


def answered(raw: str, finish_reason: str | None = "stop") -> CallAnswered:
    return CallAnswered(
        request_id="r",
        attempt=1,
        model="m",
        raw=raw,
        finish_reason=finish_reason,
        usage=None,
        cost_usd=None,
        latency_s=0.0,
    )


def tasks(raw: str, finish_reason: str | None = "stop", **form: object) -> ParsedAnswers:
    return read(AnswerForm("alpaca", "strict", 3, **form), {0: answered(raw, finish_reason)})  # type: ignore[arg-type]


def reasons(found: ParsedAnswers) -> list[str]:
    return [part.reason for part in found.unparsed]


# -- lists of labelled tasks ------------------------------------------------------------------------------------------


def test_every_form_of_a_list_is_read_right_and_the_first_reading_read_a_fraction() -> None:
    count, before, now, wrong = 0, Counter[str](), Counter[str](), []
    for form in forms():
        count += 1
        before += score(tasks(form.text, reading=1).instructions)
        found = score(tasks(form.text).instructions)
        now += found
        if found["lost"] or found["invented"]:
            wrong.append(form.name)
    assert not wrong
    assert count == len(LABELS) * (len(AROUND) + len(BETWEEN) - 1) and now["right"] == count * len(TASKS)
    assert before["right"] < now["right"] / 4 and before["invented"] > 0, "or the forms prove nothing"


@pytest.mark.parametrize(
    "output", ["---", "a\n---\nb", "# T\n\n---\n\ntext", "input: 3\noutput: 4", "13", "13.", "***bold***"]
)
def test_what_looks_like_a_frame_inside_of_an_output_stays(output: str) -> None:
    head = "4. Instruction: Show it\n4. Input:\n<noinput>\n4. Output:"
    raw = f"{head}\nBefore\n{output}\nafter\n###\n5. Instruction: Go on now"
    assert tasks(raw).instructions[0].output == f"Before\n{output}\nafter"


def test_a_rule_that_is_all_of_an_output_before_the_next_task_is_known_to_be_lost() -> None:
    raw = "4. Instruction: Draw a line\n4. Input:\n4. Output:\n---\n5. Instruction: Sing\n5. Output: La"
    assert [task.output for task in tasks(raw).instructions] == ["", "La"]


def test_the_remark_and_the_reasoning_are_on_record_as_such() -> None:
    form = next(form for form in forms() if form.name == "plain; separator; remark")
    assert reasons(tasks("<think>Hm.</think>" + form.text)) == ["reasoning", "closing_remark"]


# -- what of an answer is the answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text", "removed"),
    [
        ("<think>a</think>b", "b", ["a"]),
        ("<THINK>a</THINK>\nb", "\nb", ["a"]),
        ("[THINK]a[/THINK]b", "b", ["a"]),
        ("◁think▷a◁/think▷b", "b", ["a"]),
        ("<seed:think>a</seed:think>b", "b", ["a"]),
        ("<reasoning>a</reasoning>b", "b", ["a"]),
        ("a</think>b", "b", ["a"]),
        ("<think>a", "", ["a"]),
        ("b<think>a", "b", ["a"]),
        ("<think></think>b", "b", []),
        ("<think>a<think>x</think>c</think>b", "b", ["a<think>x</think>c"]),
        ("<think>a<think>x</think>b", "b", ["a<think>x"]),
        ("a<think>x</think>b<think>y</think>c", "abc", ["x", "y"]),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b", ["a"]),
        ("Explain `<think>` and `</think>` tags.", "Explain `<think>` and `</think>` tags.", []),
        ("\ufeffb", "b", []),
        ("b<|im_end|>", "b", []),
        ("b<|eot_id|>", "b", []),
        ("b<｜end▁of▁sentence｜>", "b", []),
        ("b</s>", "b", []),
        ("<s> b</s>", "b", []),
        ("<s>struck</s> out", "<s>struck</s> out", []),
        ("<|im_start|>assistant\nb<|im_end|>\n", "b", []),
        ("b<|im_end|>\n<|im_start|>user\nmore", "b", ["user\nmore"]),
        ("b<end_of_turn>\n<start_of_turn>user\nmore", "b", ["user\nmore"]),
    ],
)
def test_reasoning_and_marks_are_cut_off_and_kept_as_such(raw: str, text: str, removed: list[str]) -> None:
    found = answer_text(raw)
    assert (found.text, [part.text for part in found.removed]) == (text, removed)


@pytest.mark.parametrize("mark", MARKS)
def test_every_mark_of_a_thought_that_a_prompt_may_open_is_read_as_one(mark: tuple[str, str]) -> None:
    assert opened(f"a{mark[0]}b") == mark and opened(f"{mark[0]}b{mark[1]}c") is None
    assert answer_text(f"{mark[0]}\nb").text == ""
    assert answer_text(f"{mark[0]}\nb{mark[1]}\nc").text.strip() == "c"


PIECES = [
    *"<>/|[]`s #*-4.:{}\"'",
    "\\",
    "\n",
    "<think>",
    "</think>",
    "[THINK]",
    "<|im_end|>",
    "4. Instruction: ",
    "Output:",
    "```",
    '{"instruction":',
]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_text_can_be_read_in_every_way_and_gives_no_task_without_words(raw: str) -> None:
    for form in (
        AnswerForm("alpaca", "strict", 3),
        AnswerForm("alpaca", "faithful", 3),
        AnswerForm("alpaca", "strict", 3, structured=True),
    ):
        for task in read(form, {0: answered(raw)}).instructions:
            assert task.instruction.strip() or form.parser == "faithful"
    items, _ = parse_items(raw, first_number=4, cut=False)
    assert all(items)
    for style in ("two-step", "self-instruct"):
        read(AnswerForm(style, "strict", 3, most=2), {step: answered(raw) for step in range(5)})


@pytest.mark.parametrize(
    ("reason", "cut"),
    [
        (None, False),
        ("", False),
        ("stop", False),
        ("STOP", False),
        ("eos_token", False),
        ("end_turn", False),
        ("COMPLETE", False),
        ("tool_calls", False),
        ("stop_sequence", False),
        ("length", True),
        ("max_tokens", True),
        ("MAX_TOKENS", True),
        ("content_filter", True),
        ("model_length", True),
        ("error", True),
        ("SAFETY", True),
        ("RECITATION", True),
        ("abort", True),
        ("pause_turn", True),
        ("insufficient_system_resource", True),
        ("FINISH_REASON_UNSPECIFIED", True),
        ("something new", True),
    ],
)
def test_whatever_ended_an_answer_from_outside_cut_it(reason: str | None, cut: bool) -> None:
    assert was_cut(reason) is cut
    raw = "4. Instruction: Name a lake\n4. Output: Como\n###\n5. Instruction: Name a river\n5. Output: The Rh"
    assert [len(tasks(raw, reason).instructions), "cut" in reasons(tasks(raw, reason))] == [1 + (not cut), cut]
    listed = read(AnswerForm("two-step", "strict", 3, most=5), {0: answered("4. Name a lake\n5. Name a ri", reason)})
    assert len(listed.instructions) == 1 + (not cut)
    assert (score_of(answered("4", reason), reading=2).value is None) is cut


def test_a_refusal_is_no_answer() -> None:
    assert reasons(tasks("I cannot help with that.", "refusal")) == ["refused"]
    found = read(
        AnswerForm("two-step", "strict", 3, most=2), {0: answered("4. Pick a lock"), 1: answered("No.", "refusal")}
    )
    assert found.instructions[0].output == "" and reasons(found) == ["refused"]


@pytest.mark.parametrize("style", ["two-step", "self-instruct"])
def test_an_output_that_was_cut_is_rejected_for_that(style: str) -> None:
    made = {
        0: answered("4. Describe how a river begins"),
        1: answered("No"),
        2: answered("Output: A river beg", "length"),
    }
    if style == "two-step":
        made = {0: made[0], 1: answered("A river begins where water", "length")}
    found = read(AnswerForm(style, "strict", 3, most=2), made)
    assert found.cut == (0,)
    event = msgspec.structs.replace(generation(0, found.instructions), cut=found.cut)
    verdict = decider.decide(fresh_state(), 0, ids.generation_id(event.lane, event.number), event)
    assert [rejection.reason for rejection in verdict.rejected.rejections] == ["cut_output"]
    assert not verdict.decision.kept
    lenient = fresh_state(msgspec.structs.replace(ONE_CLUSTER, reject_cut=False))
    verdict = decider.decide(lenient, 0, ids.generation_id(event.lane, event.number), event)
    assert len(verdict.decision.kept) == (style == "two-step"), "what is left of an instance is no output"


# -- JSON -------------------------------------------------------------------------------------------------------------

RIVER = {"instruction": "Name a river", "input": "", "output": "Rhine"}
LAKE = {"instruction": "Name a lake", "input": "", "output": "Como"}


@pytest.mark.parametrize(
    ("raw", "outputs", "left"),
    [
        (json.dumps({"tasks": [RIVER, LAKE]}), ["Rhine", "Como"], []),
        (json.dumps([RIVER, LAKE]), ["Rhine", "Como"], []),
        (f"```json\n{json.dumps([RIVER, LAKE], indent=2)}\n```", ["Rhine", "Como"], []),
        (f"{json.dumps(RIVER)}\n{json.dumps(LAKE)}\n", ["Rhine", "Como"], []),
        (f"```jsonl\n{json.dumps(RIVER)}\n{json.dumps(LAKE)}\n```", ["Rhine", "Como"], []),
        (json.dumps(RIVER), ["Rhine"], []),
        (f"Here are [two] tasks, in {{braces}}: {json.dumps([RIVER, LAKE])}", ["Rhine", "Como"], ["before_json"]),
        (f"{json.dumps([RIVER])} Enjoy!", ["Rhine"], ["not_json"]),
        (json.dumps([RIVER | {"output": 3}, LAKE | {"output": [1, "a"]}]), ["3", '[1, "a"]'], []),
        (json.dumps([RIVER | {"output": {"a": {"b": 1}}}, LAKE]), ['{"a": {"b": 1}}', "Como"], []),
        (json.dumps([RIVER | {"output": True}, LAKE | {"input": None}]), ["true", "Como"], []),
        (json.dumps([RIVER | {"category": "geo", "id": 4}]), ["Rhine"], []),
        (json.dumps([{"Instruction": "Name a river", "Output": "Rhine"}]), ["Rhine"], []),
        (json.dumps([{"task": "no instruction"}, LAKE]), ["Como"], ["not_a_task"]),
        (r'[{"instruction":"Solve \(x\) in \mathbb{R}","output":"\(x=1\)"},' + json.dumps(LAKE) + "]", None, []),
        (
            f'[{json.dumps(RIVER)},{{"instruction":"bad","output":"it "stops" here"}},{json.dumps(LAKE)}]',
            ["Rhine", "Como"],
            ["not_json"],
        ),
        (f'{{"tasks":[{json.dumps(RIVER)},{{"instruction":"bro', ["Rhine"], ["not_json"]),
        ("<think>Maybe " + json.dumps([LAKE]) + "?</think>" + json.dumps({"tasks": [RIVER]}), ["Rhine"], ["reasoning"]),
        ("No JSON at all.", [], ["not_json"]),
    ],
)
def test_json_is_read_object_by_object(raw: str, outputs: list[str] | None, left: list[str]) -> None:
    found = tasks(raw, structured=True)
    if outputs is None:  # a backslash that escapes nothing is a backslash; braces of LaTeX may still end the object
        assert found.instructions[-1] == Instruction(instruction="Name a lake", output="Como")
        return
    assert ([task.output for task in found.instructions], reasons(found)) == (outputs, left)


def test_one_bad_escape_costs_nothing() -> None:
    bad = r'{"instruction":"Solve \(x+1=2\) for x","input":"","output":"\(x=1\)"}'
    found = tasks(f'{{"tasks":[{json.dumps(RIVER)},{bad},{json.dumps(LAKE)}]}}', structured=True)
    assert [task.output for task in found.instructions] == ["Rhine", r"\(x=1\)", "Como"] and not found.unparsed


def test_half_a_surrogate_pair_in_what_is_no_task_can_be_stored() -> None:
    found = tasks(r'[{"\ud800": "\udfff"}, {"instruction": "Name a lake", "output": "\ud800"}]', structured=True)
    assert [task.output for task in found.instructions] == ["?"]
    assert [(part.reason, part.text) for part in found.unparsed] == [("not_a_task", '{"?": "?"}')]


@pytest.mark.parametrize("field", ["output", "other"])
def test_how_deep_json_is_read_depends_on_nothing_but_the_answer(field: str) -> None:
    for depth in (90, 110, 900, *range(970, 1000), 5_000):
        deep = f'{{"instruction": "Dig", "{field}": {"[" * depth}{"]" * depth}}}'
        found = tasks(f"[{deep}, {json.dumps(LAKE)}]", structured=True)
        dug = ["Dig"] if depth < 100 else []
        assert [task.instruction for task in found.instructions] == [*dug, LAKE["instruction"]], depth


def test_json_that_was_cut_leaves_its_last_object() -> None:
    found = tasks(f'[{json.dumps(RIVER)}, {{"instruction": "Name a la', "MAX_TOKENS", structured=True)
    assert [task.output for task in found.instructions] == ["Rhine"] and reasons(found) == ["cut"]


# -- lists of instructions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark", ["{}. ", "{}) ", "({}) ", "{}\\. ", "### {}. ", "**{}.** ", "{}、", "Task {}: ", "{}. Instruction: "]
)
def test_items_are_read_in_every_dress(mark: str) -> None:
    raw = "\n".join(mark.format(number) + text for number, text in enumerate(["Name a lake", "Sing a song"], start=4))
    assert parse_items(raw, first_number=4, cut=False) == (("Name a lake", "Sing a song"), ())


def test_lists_inside_of_items_stay_whole() -> None:
    raw = (
        "4. Sort these:\n   1. tea\n   2. ink\n5. Compare:\n1. bread\n2. salt\n6. Choose one:\n- a cat\n- a dog\n\n"
        "---\n7. Sing"
    )
    items, left = parse_items(raw, first_number=4, cut=False)
    assert items == ("Sort these: 1. tea 2. ink", "Compare: 1. bread 2. salt", "Choose one: - a cat - a dog", "Sing")
    assert not left
    assert parse_items("1. Sing\n1. Draw\n1. Hum", first_number=4, cut=False)[0] == ("Sing", "Draw", "Hum")
