"""Answers of an LLM become instructions, and nothing of an answer is lost."""

import json
import re
from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Instruction, Unparsed
from streams.core.parse.alpaca import parse_alpaca
from streams.core.parse.leftover import Parsed
from streams.core.parse.lists import parse_list
from streams.core.parse.structured import parse_structured

TASK_4 = " Name a city.\n4. Input:\n<noinput>\n4. Output:\nParis.\n"
TASK_5 = "5. Instruction: Add the numbers.\n5. Input:\n2 and 3\n5. Output:\n5\n"
TASK_6 = "6. Instruction: Name a colour.\n6. Input:\n<noinput>\n6. Output:\nBlue.\n"

CITY = Instruction(instruction="Name a city.", output="Paris.")
SUM = Instruction(instruction="Add the numbers.", input="2 and 3", output="5")
COLOUR = Instruction(instruction="Name a colour.", output="Blue.")


def listed(raw: str, first_number: int = 1, cut: bool = False) -> tuple[tuple[str, ...], tuple[Unparsed, ...]]:
    return parse_list(raw, first_number=first_number, cut=cut)


def read(raw: str, parser: Literal["strict", "faithful"] = "strict", cut: bool = False) -> Parsed:
    return parse_alpaca(raw, parser=parser, first_number=4, cut=cut)


@pytest.mark.parametrize("parser", ["strict", "faithful"])
def test_an_answer_in_form_gives_its_tasks_in_order(parser: Literal["strict", "faithful"]) -> None:
    assert read(f"{TASK_4}###\n{TASK_5}###\n{TASK_6}", parser) == ((CITY, SUM, COLOUR), ())


@pytest.mark.parametrize("parser", ["strict", "faithful"])
def test_a_cut_answer_loses_its_last_block_only(parser: Literal["strict", "faithful"]) -> None:
    instructions, unparsed = read(f"{TASK_4}###\n{TASK_5}###\n6. Instruction: Name a col", parser, cut=True)
    assert instructions == (CITY, SUM)
    assert [block.reason for block in unparsed] == ["cut"]
    assert "Name a col" in unparsed[0].text


@pytest.mark.parametrize("parser", ["strict", "faithful"])
def test_a_cut_answer_that_ends_at_a_separator_loses_nothing(parser: Literal["strict", "faithful"]) -> None:
    assert read(f"{TASK_4}###\n{TASK_5}###", parser, cut=True) == ((CITY, SUM), ())


@pytest.mark.parametrize("parser", ["strict", "faithful"])
def test_an_empty_output_is_left_to_the_rules(parser: Literal["strict", "faithful"]) -> None:
    instructions, unparsed = read(" Name a city.\n4. Input:\n<noinput>\n4. Output:\n###\n" + TASK_5, parser)
    assert instructions == (Instruction(instruction="Name a city."), SUM)
    assert unparsed == ()


@pytest.mark.parametrize("parser", ["strict", "faithful"])
@pytest.mark.parametrize("raw", ["", "   \n\n"])
def test_an_empty_answer_gives_nothing(raw: str, parser: Literal["strict", "faithful"]) -> None:
    assert read(raw, parser) == ((), ())


class TestFaithfulKeeps:
    def test_the_split_at_a_markdown_heading(self) -> None:
        raw = f" Write notes.\n4. Input:\n<noinput>\n4. Output:\n### Plan\nGo.\n###\n{TASK_5}"
        instructions, unparsed = read(raw, "faithful")
        assert instructions == (Instruction(instruction="Write notes.", output=""),)
        assert [block.reason for block in unparsed] == ["not_seven_parts", "not_seven_parts"]

    def test_the_loss_of_all_blocks_after_a_slip_of_the_numbering(self) -> None:
        instructions, unparsed = read(f"{TASK_4}###\n{TASK_6}", "faithful")
        assert instructions == (CITY,)
        assert unparsed == (Unparsed(reason="not_seven_parts", text=TASK_6.strip()),)

    def test_a_merged_task_as_part_of_the_output(self) -> None:
        instructions, _ = read(f"{TASK_4}{TASK_5}", "faithful")
        assert instructions == (Instruction(instruction="Name a city.", output=f"Paris.\n{TASK_5.strip()}"),)

    def test_the_doubled_label_of_a_chat_model_as_a_loss(self) -> None:
        instructions, unparsed = read(f"4. Instruction:{TASK_4}###\n{TASK_5}", "faithful")
        assert instructions == (SUM,)
        assert [block.reason for block in unparsed] == ["not_seven_parts"]

    def test_text_before_a_label_on_record(self) -> None:
        instructions, unparsed = read(f"{TASK_4}### Next one:\n{TASK_5}", "faithful")
        assert instructions == (CITY, SUM)
        assert unparsed == (Unparsed(reason="before_label", text="Next one:"),)


class TestStrictRepairs:
    def test_a_markdown_heading_in_an_output(self) -> None:
        output = "# Plan\n### First\nGo.\n### Second\nStay."
        raw = f" Write notes.\n4. Input:\n<noinput>\n4. Output:\n{output}\n###\n{TASK_5}"
        assert read(raw) == ((Instruction(instruction="Write notes.", output=output), SUM), ())

    def test_a_line_of_hashes_inside_a_fence(self) -> None:
        output = "```python\n###\n# totals\n###\nprint(1)\n```"
        raw = f" Write a heading in code.\n4. Input:\n<noinput>\n4. Output:\n{output}\n###\n{TASK_5}"
        assert read(raw)[0][0].output == output

    @pytest.mark.parametrize("numbers", [(6, 7), (4, 5), (9, 10), (5, 5)])
    def test_a_slip_of_the_numbering(self, numbers: tuple[int, int]) -> None:
        first, second = (task.replace("5.", f"{n}.", 3) for task, n in zip((TASK_5, TASK_5), numbers, strict=True))
        assert read(f"{TASK_4}###\n{first}###\n{second}") == ((CITY, SUM, SUM), ())

    def test_numbering_that_starts_again_from_one(self) -> None:
        again = TASK_5.replace("5. I", "1. I").replace("5. O", "1. O")
        assert read(f"{TASK_4}{again}") == ((CITY, SUM), ())

    def test_merged_tasks(self) -> None:
        assert read(f"{TASK_4}{TASK_5}{TASK_6}") == ((CITY, SUM, COLOUR), ())

    def test_tasks_merged_on_one_line(self) -> None:
        raw = " Name a city. 4. Input: <noinput> 4. Output: Paris. 5. Instruction: Add the numbers. 5. Input: 2 and 3 "
        assert read(raw + "5. Output: 5") == ((CITY, SUM), ())

    def test_a_year_that_ends_in_twenty(self) -> None:
        raw = " When was it?\n4. Input:\n<noinput>\n4. Output:\nIn 2020. And in 20. more.\n###\n" + TASK_5
        assert read(raw)[0][0].output == "In 2020. And in 20. more."

    def test_the_label_that_a_chat_model_repeats(self) -> None:
        assert read(f"4. Instruction:{TASK_4}###\n{TASK_5}") == ((CITY, SUM), ())

    def test_a_remark_before_the_list(self) -> None:
        instructions, unparsed = read(f"Sure, here they are:\n\n###\n4. Instruction:{TASK_4}###\n{TASK_5}")
        assert instructions == (CITY, SUM)
        assert unparsed == (Unparsed(reason="no_label", text="Sure, here they are:"),)

    def test_bold_labels_and_labels_in_headings(self) -> None:
        raw = "**4. Instruction:** Name a city.\n**4. Input:** <noinput>\n**4. Output:** **Paris**.\n"
        heading = "### 5. Instruction: Add the numbers.\n5. Input:\n2 and 3\n5. Output:\n5"
        city = Instruction(instruction="Name a city.", output="**Paris**.")
        assert read(raw + heading) == ((city, SUM), ())

    def test_labels_without_numbers(self) -> None:
        raw = "Instruction: Name a city.\nInput: <noinput>\nOutput: Paris.\n"
        second = "Instruction: Add the numbers.\nInput: 2 and 3\nOutput: 5"
        assert read(raw + second) == ((CITY, SUM), ())

    def test_a_missing_input_label(self) -> None:
        assert read(" Name a city.\n4. Output:\nParis.") == ((CITY,), ())

    def test_a_number_that_slips_within_a_task(self) -> None:
        raw = " Name a city.\n5. Input:\n<noinput>\n5. Output:\nParis.\n###\n"
        assert read(raw + TASK_5) == ((CITY, SUM), ())

    @pytest.mark.parametrize("mark", ["<noinput>", "<NoInput>", "<no input>", "<noinput>."])
    def test_every_spelling_of_no_input(self, mark: str) -> None:
        assert read(TASK_4.replace("<noinput>", mark)) == ((CITY,), ())


class TestStrictLeaves:
    def test_labels_of_another_kind_in_an_output(self) -> None:
        output = "Use these fields:\n1. Input: what comes in\n2. Output: what goes out"
        raw = f" Describe a function.\n4. Input:\n<noinput>\n4. Output:\n{output}\n###\n{TASK_5}"
        assert read(raw) == ((Instruction(instruction="Describe a function.", output=output), SUM), ())

    def test_a_smaller_numbered_instruction_in_an_output(self) -> None:
        output = "The form has these parts:\n1. Instruction: what to do\n2. Date"
        raw = f" Design a form.\n4. Input:\n<noinput>\n4. Output:\n{output}\n###\n{TASK_5}"
        assert read(raw) == ((Instruction(instruction="Design a form.", output=output), SUM), ())

    @pytest.mark.parametrize(
        ("block", "reason"),
        [
            ("5. Instruction: Add.\n5. Input:\n2\n", "no_output_label"),
            ("5. Instruction:\n5. Input:\n2\n5. Output:\n2\n", "empty_instruction"),
            ("5. Instruction: Add.\n5. Input:\n2\n5. Output:\n2\n5. Output:\n3\n", "misplaced_label"),
            ("5. Instruction: Add.\n5. Output:\n2\n5. Input:\n3\n", "misplaced_label"),
            ("That is all.\n", "no_label"),
            ("5. Input:\n2\n5. Output:\n2\n", "no_instruction_label"),
        ],
    )
    def test_a_broken_block_unparsed_with_the_reason(self, block: str, reason: str) -> None:
        instructions, unparsed = read(f"{TASK_4}###\n{block}###\n{TASK_6}")
        assert instructions == (CITY, COLOUR)
        assert [item.reason for item in unparsed] == [reason]

    def test_prose_unparsed(self) -> None:
        assert read("I cannot do that.") == ((), (Unparsed(reason="no_label", text="I cannot do that."),))


WORD = re.compile(r"w[0-9]+x")
PIECES = st.lists(
    st.one_of(
        st.just("word"),
        st.sampled_from(
            ["\n", " ", "\n###\n", " ### ", "### ", "```\n", "**", "<noinput>", "2020. ", "\n20. ", "\n\n"]
        ),
        st.builds(
            lambda lead, number, name: f"{lead}{number}. {name}:",
            st.sampled_from(["\n", " ", "\n###\n", "**", "\n### "]),
            st.integers(1, 9),
            st.sampled_from(["Instruction", "Input", "Output"]),
        ),
        st.sampled_from(["\nInstruction:", "\nInput:", "\nOutput:"]),
    ),
    max_size=40,
)


def answer_of(pieces: list[str]) -> str:
    return "".join(f"w{place}x " if piece == "word" else piece for place, piece in enumerate(pieces))


def words_of(parsed: Parsed) -> Counter[str]:
    instructions, unparsed = parsed
    texts = [part for task in instructions for part in (task.instruction, task.input, task.output)]
    return Counter(WORD.findall("\n".join([*texts, *(block.text for block in unparsed)])))


@given(PIECES, st.sampled_from(["strict", "faithful"]), st.booleans())
def test_every_word_is_in_exactly_one_instruction_or_unparsed_block(
    pieces: list[str], parser: Literal["strict", "faithful"], cut: bool
) -> None:
    raw = answer_of(pieces)
    assert words_of(read(raw, parser, cut)) == Counter(WORD.findall(raw))


@given(st.text(max_size=300), st.sampled_from(["strict", "faithful"]), st.booleans())
def test_any_text_gives_a_result(raw: str, parser: Literal["strict", "faithful"], cut: bool) -> None:
    instructions, _ = read(raw, parser, cut)
    assert parser == "faithful" or all(task.instruction for task in instructions)


SENTENCES = st.sampled_from(["a", "Name a city.", "x y\nz", "- one\n- two", "2020. It was", "# Plan"])


@given(st.lists(st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1, max_size=17))
def test_both_parsers_agree_on_answers_in_form(tasks: list[tuple[str, str, str]]) -> None:
    blocks = [
        f"{number}. Instruction: {instruction}\n{number}. Input:\n{given}\n{number}. Output:\n{output}\n"
        for number, (instruction, given, output) in enumerate(tasks, start=4)
    ]
    raw = "###\n".join(blocks).removeprefix("4. Instruction:")
    assert read(raw, "strict") == read(raw, "faithful")
    assert len(read(raw)[0]) == len(tasks)


@pytest.mark.parametrize("piece", ["#", "# ", "*", "```\n", "4. ", "4. Instruction:", "\n###", "9" * 10, "\n- "])
def test_an_answer_that_repeats_itself_is_read_in_bounded_time(piece: str) -> None:
    raw = piece * (20_000 // len(piece))
    read(raw)
    listed(raw, cut=True)
    parse_structured(raw, cut=True)


class TestList:
    def test_a_numbered_list(self) -> None:
        assert listed("1. Name a city.\n2. Add  two\n   numbers.\n", cut=False) == (
            ("Name a city.", "Add two numbers."),
            (),
        )

    def test_an_answer_that_continues_the_prompts_own_number(self) -> None:
        assert listed(" Name a city.\n10. Add two numbers.", first_number=9) == (
            ("Name a city.", "Add two numbers."),
            (),
        )

    def test_a_remark_before_and_after_the_list(self) -> None:
        items, unparsed = listed('Sure:\n\n1. **Name a city.**\n2. "Add two numbers."\n\nEnjoy!', cut=False)
        assert items == ("Name a city.", "Add two numbers.")
        assert [(block.reason, block.text) for block in unparsed] == [("no_number", "Sure:"), ("no_number", "Enjoy!")]

    def test_a_remark_before_a_list_that_is_numbered_on_from_the_prompt(self) -> None:
        items, unparsed = listed("Here are more:\n4. Name a city.\n5. Add two numbers.", first_number=4)
        assert items == ("Name a city.", "Add two numbers.")
        assert unparsed == (Unparsed(reason="no_number", text="Here are more:"),)

    def test_bullets_where_no_line_is_numbered(self) -> None:
        assert listed("- Name a city.\n- Add two numbers.", cut=False)[0] == ("Name a city.", "Add two numbers.")

    def test_the_last_item_of_a_cut_answer_unparsed(self) -> None:
        items, unparsed = listed("1. Name a city.\n2. Add two nu", cut=True)
        assert items == ("Name a city.",)
        assert unparsed == (Unparsed(reason="cut", text="Add two nu"),)

    def test_prose_unparsed(self) -> None:
        assert listed("I cannot.", cut=False) == ((), (Unparsed(reason="no_number", text="I cannot."),))

    @given(PIECES, st.booleans())
    def test_every_word_in_an_item_or_an_unparsed_block(self, pieces: list[str], cut: bool) -> None:
        raw = answer_of(pieces)
        items, unparsed = listed(raw, cut=cut)
        found = Counter(WORD.findall("\n".join([*items, *(block.text for block in unparsed)])))
        assert found == Counter(WORD.findall(raw))


class TestStructured:
    TASKS = (
        {"instruction": "Name a city.", "input": "", "output": "Paris."},
        {"instruction": "Add the numbers.", "input": "2 and 3", "output": "5"},
    )

    def test_an_object_of_tasks(self) -> None:
        assert parse_structured(json.dumps({"tasks": self.TASKS}), cut=False) == ((CITY, SUM), ())

    def test_an_array_in_a_fence_after_a_remark(self) -> None:
        instructions, unparsed = parse_structured(f"Here:\n```json\n{json.dumps(self.TASKS)}\n```", cut=False)
        assert instructions == (CITY, SUM)
        assert [block.reason for block in unparsed] == ["before_json"]

    def test_a_cut_answer_gives_its_whole_tasks(self) -> None:
        raw = json.dumps({"tasks": self.TASKS})[:-12]
        instructions, unparsed = parse_structured(raw, cut=True)
        assert instructions == (CITY,)
        assert [block.reason for block in unparsed] == ["cut"]

    def test_what_is_not_a_task_unparsed(self) -> None:
        raw = json.dumps({"tasks": [{"instruction": 3}, {"title": "x"}, {"instruction": " "}, self.TASKS[0]]})
        instructions, unparsed = parse_structured(raw, cut=False)
        assert instructions == (CITY,)
        assert [block.reason for block in unparsed] == ["not_a_task"] * 3

    @pytest.mark.parametrize("raw", ["no json", "{", "[", '{"tasks": ["a"]}', '{"tasks": 3}'])
    def test_other_text_unparsed_whole(self, raw: str) -> None:
        assert parse_structured(raw, cut=False) == ((), (Unparsed(reason="not_json", text=raw),))

    def test_an_empty_list_gives_nothing(self) -> None:
        assert parse_structured('{"tasks": []}', cut=False) == ((), ())


def test_half_a_surrogate_pair_in_json_becomes_a_question_mark() -> None:
    (task,), _ = parse_structured('{"tasks": [{"instruction": "Say \\ud83d", "output": "x"}]}', cut=False)
    assert task.instruction == "Say ?"
