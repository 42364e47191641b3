"""The mapping of columns, and the errors for rows that cannot be mapped."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.columns import ColumnTask, task_of
from schemas.errors import ConfigurationError
from schemas.events import Instruction

ASKED, GIVEN, ANSWERED = "Add the numbers.", "1, 2", "3"


def mapped(row: dict[str, Any]) -> ColumnTask:
    return task_of(row, "rows.jsonl", "line 7")


def turns(*roles: str, role: str = "role", content: str = "content") -> list[dict[str, str]]:
    texts = {"user": ASKED, "human": ASKED, "assistant": ANSWERED, "gpt": ANSWERED}
    return [{role: name, content: texts.get(name, f"a {name}")} for name in roles]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": ASKED, "output": ANSWERED},
        {"instruction": ASKED, "input": None, "output": ANSWERED, "text": "passed over"},
        {"instruction": ASKED, "context": "", "response": ANSWERED, "category": "qa"},
        {" Instruction": ASKED, "OUTPUT": ANSWERED},
        {"prompt": ASKED, "completion": ANSWERED},
        {"question": ASKED, "answer": ANSWERED},
        {"messages": turns("user", "assistant")},
        {"messages": turns("user", "assistant", "user", "assistant"), "prompt": ASKED},
        {"messages": str(turns("user", "assistant")).replace("'", '"')},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}, *turns("assistant")]},
        {"conversations": turns("human", "gpt", role="from", content="value")},
        {"conversations": turns("user", "assistant")},
        {"prompt": turns("user"), "completion": turns("assistant")},
        {"prompt": turns("user"), "completion": ANSWERED},
        {"instruction": ASKED, "instances": [{"input": "", "output": ANSWERED}, {"input": "x", "output": "y"}]},
    ],
)
def test_every_known_form_gives_the_same_task(row: dict[str, Any]) -> None:
    assert mapped(row).task == Instruction(instruction=ASKED, output=ANSWERED)


@pytest.mark.parametrize("name", ["input", "context"])
def test_an_input_is_kept_apart(name: str) -> None:
    row = {"instruction": ASKED, name: GIVEN, "output": ANSWERED}
    assert mapped(row).task == Instruction(instruction=ASKED, input=GIVEN, output=ANSWERED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        ([1, "a", None], '[1,"a",null]'),
        ({"a": {"b": False}}, '{"a":{"b":false}}'),
        (0, "0"),
        (False, "false"),
        (None, ""),
        (float("nan"), ""),
        ("", ""),
    ],
)
def test_an_output_that_is_no_text_is_its_json(value: object, text: str) -> None:
    found = mapped({"instruction": ASKED, "output": value})
    assert (found.task.output, found.answered) == (text, bool(text))


def test_a_system_text_stands_before_the_instruction() -> None:
    wanted = f"a system\n\n{ASKED}"
    assert mapped({"messages": turns("system", "user", "assistant")}).task.instruction == wanted
    assert mapped({"system_prompt": "a system", "question": ASKED, "response": "3"}).task.instruction == wanted
    assert mapped({"system": "", "instruction": ASKED, "output": "3"}).task.instruction == ASKED


def test_id_and_classification_are_those_of_the_row() -> None:
    found = mapped({"id": 7, "instruction": ASKED, "output": "3", "is_classification": "true"})
    assert (found.id, found.is_classification, found.place) == ("7", True, "line 7")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no instruction is found. Fields found: none"),
        ({"text": "a", "label": 1}, "Fields found: `text`, `label`"),
        ({"instruction": " ", "output": "x"}, "`instruction` is empty"),
        ({"instruction": 3, "output": "x"}, "`instruction` is a number"),
        ({"instruction": ASKED, "output": "x", "response": "y"}, "`output`, `response` have different values"),
        ({"messages": "hello"}, "not a JSON list"),
        ({"messages": {"role": "user"}}, "`messages` is an object"),
        ({"messages": [1]}, "a turn of `messages` is a number"),
        ({"messages": [{"speaker": "user"}]}, "no `role` or `from`; it has `speaker`"),
        ({"messages": turns("assistant", "user")}, "does not begin with a user"),
        ({"messages": turns("system")}, "does not begin with a user"),
        ({"messages": turns("user", "tool", "assistant")}, "followed by one of `tool`"),
        ({"messages": turns("user", "user", "assistant")}, "followed by one of `user`"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "a part that is not text"),
        ({"instruction": ASKED, "instances": []}, "no instance"),
        ({"instruction": ASKED, "output": "x", "is_classification": "perhaps"}, "`is_classification` is a text"),
    ],
)
def test_what_cannot_be_mapped_is_refused_with_its_place(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        mapped(row)
    assert str(error.value).startswith("rows.jsonl, line 7: ")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "from", "content", "value", "input", "output"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_names = st.sampled_from(["instruction", "prompt", "output", "messages", "conversations", "instances", "system", "id"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_names, _values, max_size=5))
def test_no_row_raises_anything_but_a_configuration_error(row: dict[str, Any]) -> None:
    try:
        assert mapped(row).task.instruction.strip()
    except ConfigurationError as error:
        assert "line 7" in str(error)
