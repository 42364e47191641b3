"""Answers of the `self-instruct` style become instructions, yes or no, and instances; nothing of an answer is lost."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Unparsed
from streams.core.parse.self_instruct import (
    Instance,
    Instances,
    chosen,
    further,
    parse_bootstrap,
    parse_input_first,
    parse_is_classification,
    parse_output_first,
)

SUM = Instance("2 and 3", "5")
DOUBLE = Instance("4", "8")


def test_the_strict_list_of_a_cut_answer_loses_its_last_item_and_the_faithful_one_all_of_them() -> None:
    raw = " Name a city.\n10. Add two numbers.\n11. Say wh"
    strict = parse_bootstrap(raw, parser="strict", first_number=9, cut=True)
    faithful = parse_bootstrap(raw, parser="faithful", first_number=9, cut=True)
    assert strict == (("Name a city.", "Add two numbers."), (Unparsed(reason="cut", text="Say wh"),))
    assert faithful == ((), (Unparsed(reason="cut", text=raw.strip()),))


def test_the_faithful_list_is_split_at_every_line_that_starts_with_a_number() -> None:
    read = parse_bootstrap(" Name a\ncity.\n10. Add\n2. two.\n", parser="faithful", first_number=9, cut=False)
    assert read == (("Name a city.", "Add", "two."), ())


@pytest.mark.parametrize(
    ("raw", "is_one"),
    [
        ("yes", True),
        (" Yes.", True),
        ("**YES**, it is", True),
        ("No", False),
        ("no, yes", False),
        ("", None),
        ("It depends", None),
        ("1", None),
    ],
)
def test_the_first_word_says_whether_it_is_a_classification_task(raw: str, is_one: bool | None) -> None:
    assert parse_is_classification(raw) is is_one


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("Example 1\nInput: 2 and 3\nOutput: 5\nExample 2\nInput: 4\nOutput: 8", (SUM, DOUBLE)),
        ("Input: 2 and 3\nOutput: 5\n\nInput: 4\nOutput: 8", (SUM, DOUBLE)),
        ("**Example 1**\n**Input:** 2 and 3\n**Output:** 5", (SUM,)),
        ("Example 1\nOutput: Water and\na map.", (Instance("", "Water and\na map."),)),
        ("Example 1\nInput: <noinput>\nOutput: Water.", (Instance("", "Water."),)),
        ("Example 1\nNumbers: 2 and 3\nOutput: 5", (Instance("Numbers: 2 and 3", "5"),)),
        ("Output: one\nOutput: two", (Instance("", "one"), Instance("", "two"))),
        ("Water, a map and\na jacket.", (Instance("", "Water, a map and\na jacket."),)),
        ("Example 1\nWater.\nExample 2\nBread.", (Instance("", "Water."), Instance("", "Bread."))),
        ("", ()),
    ],
)
def test_instances_are_read_input_first(raw: str, read: tuple[Instance, ...]) -> None:
    assert parse_input_first(raw, cut=False) == (read, ())


@pytest.mark.parametrize(
    ("raw", "read", "left"),
    [
        ("Sure!\nExample 1\nInput: 4\nOutput: 8", (DOUBLE,), [("before_label", "Sure!")]),
        ("Sure!\nInput: 4\nOutput: 8", (DOUBLE,), [("before_label", "Sure!")]),
        ("Input: 4\nInput: 2 and 3\nOutput: 5", (SUM,), [("no_output_label", "Input: 4")]),
        ("Example 1\nInput: 4", (), [("no_output_label", "Input: 4")]),
    ],
)
def test_what_is_no_instance_is_left_with_a_reason(
    raw: str, read: tuple[Instance, ...], left: list[tuple[str, str]]
) -> None:
    found, unparsed = parse_input_first(raw, cut=False)
    assert found == read
    assert [(part.reason, part.text) for part in unparsed] == left


@pytest.mark.parametrize(
    ("raw", "read", "left"),
    [
        ("Example 1\nInput: 4\nOutput: 8\nExample 2\nInput: 2 and 3\nOut", (DOUBLE,), ["Input: 2 and 3\nOut"]),
        ("Input: 4\nOutput: 8\nInput: 2 and 3\nOutput: 5 or", (DOUBLE,), ["Input: 2 and 3\nOutput: 5 or"]),
        ("Example 1\nInput: 4\nOutput: 8\nExample 2\n", (DOUBLE,), []),
        ("Water, a m", (), ["Water, a m"]),
    ],
)
def test_a_cut_answer_loses_its_last_instance_only(raw: str, read: tuple[Instance, ...], left: list[str]) -> None:
    found, unparsed = parse_input_first(raw, cut=True)
    assert found == read
    assert [(part.reason, part.text) for part in unparsed] == [("cut", text) for text in left]


@pytest.mark.parametrize(
    ("raw", "cut", "read", "left"),
    [
        (
            "Class label: warm\nInput: 30 degrees\nClass label: cold\nInput: 2 degrees",
            False,
            (Instance("30 degrees", "warm"), Instance("2 degrees", "cold")),
            [],
        ),
        ("**Class label:** warm\n30 degrees", False, (Instance("30 degrees", "warm"),), []),
        ("Class label: warm", False, (Instance("", "warm"),), []),
        (
            "Here:\nLabel: warm\nSo:\nInput: 30 degrees",
            False,
            (Instance("30 degrees", "warm"),),
            [("before_label", "Here:"), ("before_label", "So:")],
        ),
        (
            "Class label: warm\nInput: 30 degrees\nClass label: cold\nInput: 2",
            True,
            (Instance("30 degrees", "warm"),),
            [("cut", "cold\nInput: 2")],
        ),
        ("warm", False, (), [("no_class_label", "warm")]),
        ("", False, (), []),
    ],
)
def test_instances_of_classification_are_read_label_first(
    raw: str, cut: bool, read: tuple[Instance, ...], left: list[tuple[str, str]]
) -> None:
    found, unparsed = parse_output_first(raw, cut=cut)
    assert found == read
    assert [(part.reason, part.text) for part in unparsed] == left


def test_the_first_sound_instance_stands_for_an_instruction() -> None:
    instances = (Instance("a", ""), Instance("b", "b"), Instance("c", "d"), Instance("e", "f"))
    assert chosen(instances, "Do it.", False) == 2
    assert chosen(instances[:2], "Do it.", False) is None
    assert [part.text for part in further(instances, 2)] == [
        "Input: a\nOutput: ",
        "Input: b\nOutput: b",
        "Input: e\nOutput: f",
    ]


def test_of_a_classification_task_every_label_is_taken_about_as_often() -> None:
    instances = (Instance("", ""), Instance("a", "warm"), Instance("b", "cold"))
    taken = Counter(chosen(instances, f"Judge number {n}.", True) for n in range(400))
    assert set(taken) == {1, 2}
    assert 150 < taken[1] < 250


PIECES = st.lists(
    st.sampled_from(
        [
            "Example 1\n",
            "Example 2:",
            "\n",
            " ",
            "Input:",
            "Output:",
            "\nInput: ",
            "\nOutput: ",
            "\nClass label: ",
            "Class label:",
            "Label:",
            "<noinput>",
            "**",
            "word",
            "other word",
            "9.",
            "\n10. ",
            "\u2028",
            "é",
        ]
    ),
    max_size=14,
).map("".join)
ANY = PIECES | st.text(max_size=60)

_TAKEN_AWAY = re.compile(r"Example|Instance|Input|Output|Class[ \t]+label|Label|noinput|[0-9]|[^\w]", re.IGNORECASE)


def letters(*texts: str) -> Counter[str]:
    return Counter("".join(_TAKEN_AWAY.sub("", text) for text in texts))


def parts_of(read: Instances) -> list[str]:
    instances, unparsed = read
    return [text for one in instances for text in (one.input, one.output)] + [part.text for part in unparsed]


@given(ANY, st.booleans())
def test_whatever_the_answer_is_it_is_read_and_nothing_is_lost(raw: str, cut: bool) -> None:
    for read in (parse_input_first(raw, cut=cut), parse_output_first(raw, cut=cut)):
        assert letters(*parts_of(read)) == letters(raw)
    parse_is_classification(raw)


@given(ANY, st.booleans(), st.sampled_from(["strict", "faithful"]))
def test_whatever_the_list_is_it_is_read_and_nothing_is_lost(raw: str, cut: bool, parser: str) -> None:
    items, unparsed = parse_bootstrap(raw, parser=parser, first_number=9, cut=cut)  # type: ignore[arg-type]
    assert letters(*items, *(part.text for part in unparsed)) == letters(raw)


@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,9}( [a-z]{1,9})?", fullmatch=True), st.sampled_from(["x", "y z"]))))
def test_instances_in_form_are_read_as_they_were_written(pairs: list[tuple[str, str]]) -> None:
    instances = tuple(Instance(given, output) for given, output in pairs)
    examples = "".join(f"Example {n}\nInput: {one.input}\nOutput: {one.output}\n" for n, one in enumerate(instances, 1))
    labels = "".join(f"Class label: {one.output}\nInput: {one.input}\n" for one in instances)
    assert parse_input_first(examples, cut=False) == (instances, ())
    assert parse_output_first(labels, cut=False) == (instances, ())
