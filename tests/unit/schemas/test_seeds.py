"""Seed files are read as the classic format has them, and what is wrong with one is told with its line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask, parse_seed_lines


def line(**change):
    row = {
        "id": "seed_task_0",
        "name": "a_name",
        "instruction": "Add the numbers.",
        "instances": [{"input": "1, 2", "output": "3"}, {"input": "2, 2", "output": "4"}],
        "is_classification": False,
    }
    return json.dumps({**row, **change})


GOOD = line()


def test_the_first_instance_of_each_line_is_the_seed():
    lines = [GOOD + "\n", "\n", "  \n", line(id="b", is_classification=True)]
    assert parse_seed_lines(lines, "seeds.jsonl") == (
        SeedTask(id="seed_task_0", instruction="Add the numbers.", input="1, 2", output="3"),
        SeedTask(id="b", instruction="Add the numbers.", input="1, 2", output="3", is_classification=True),
    )


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("{", "not a seed task"),
        ("[]", "not a seed task"),
        ("no JSON", "not a seed task"),
        ("\ufeff" + GOOD, "not a seed task"),
        ('{"id": "\ud800"}', "not a seed task"),
        ('{"name": ' + "[" * 100_000, "not a seed task"),
        (line(id=7), r"Expected `str`, got `int` - at `\$\.id`"),
        (line(instruction=None), r"at `\$\.instruction`"),
        (line(instances=[{"input": "1"}]), r"missing required field `output` - at `\$\.instances\[0\]`"),
        ('{"id": "x", "instances": []}', "missing required field `instruction`"),
        (line(id="b", instances=[]), "seed 'b' has no instruction or no instance"),
        (line(id="b", instruction=" \n"), "seed 'b' has no instruction or no instance"),
        (GOOD, "seed id 'seed_task_0' is a duplicate"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_line_blank_ones_counted(broken, told):
    with pytest.raises(ConfigurationError, match=told) as error:
        parse_seed_lines([GOOD, "", broken, line(id="last")], "my/seeds.jsonl")
    assert str(error.value).startswith("my/seeds.jsonl, line 3: ")


@pytest.mark.parametrize("lines", [[], [""], ["\n", "  "]])
def test_a_file_without_seeds_is_refused(lines):
    with pytest.raises(ConfigurationError, match=r"my/seeds\.jsonl holds no seed task"):
        parse_seed_lines(lines, "my/seeds.jsonl")


@given(st.lists(st.text(st.characters(), max_size=30) | st.just(GOOD), max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_text_raises_anything_but_a_configuration_error(lines):
    try:
        assert parse_seed_lines(lines, "seeds.jsonl")
    except ConfigurationError as error:
        assert "seeds.jsonl" in str(error)
