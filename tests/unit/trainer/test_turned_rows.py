"""Rows turned round for an instruction generator: what is learned from which text, and what teaches nothing."""

import json
from pathlib import Path

import pytest

from consumers.trainer.data.archive_feed import MemoryFeed
from consumers.trainer.data.offline import from_file
from consumers.trainer.data.row_file import read_rows
from consumers.trainer.data.turned_feed import TurnedFeed
from consumers.trainer.options import TrainOptions, default_output
from infra.models.templates import encode
from infra.models.turned_rows import question, teaches, turned
from schemas.errors import ConfigurationError
from schemas.events import Instruction
from streams.core.batches import PartitionPosition
from tests.unit.trainer.tiny import kept, tokenizer

ANSWER = "Bees store honey for the winter."


def test_the_output_is_asked_about_and_instruction_and_input_are_the_answer() -> None:
    row = Instruction(instruction=" Summarize it. ", input="A page\nabout bees.\n", output=f"\n{ANSWER} ")
    assert turned(row) == Instruction(
        instruction=question(ANSWER), input="", output="Summarize it.\nInput: A page\nabout bees."
    )
    bare = turned(Instruction(instruction="What do bees do?", input=" \n", output=ANSWER))
    assert bare.output == "What do bees do?"
    assert bare.instruction.startswith(ANSWER)


def test_of_a_long_text_the_question_at_its_end_is_never_cut() -> None:
    reader = tokenizer()
    row = turned(Instruction(instruction="Write on.", output="and so on " * 100))
    encoded = encode(row, reader, "chat", 128)
    assert encoded.truncated
    prompt = reader.decode(encoded.tokens[: encoded.prompt])
    assert prompt.endswith(f"{question('').strip()}<|end|>\n<|assistant|>")


@pytest.mark.parametrize(
    ("instruction", "output", "expected"),
    [
        ("Classify it.", "Positive", False),
        ("Classify it.", "It is positive, I think", True),
        ("  ", ANSWER, False),
        ("Say it.", "", False),
        ("写一句话。", "今天天气很好我们去公园", True),
    ],
)
def test_a_word_or_a_blank_teaches_nothing_and_has_no_weight(instruction: str, output: str, expected: bool) -> None:
    row = Instruction(instruction=instruction, output=output)
    assert teaches(row) == expected
    assert bool(encode(turned(row), tokenizer(), "chat", 512).response) == expected


def test_a_feed_turns_its_rows_round_keeps_their_places_and_counts_those_left_out() -> None:
    rows = [kept(number, 0, output=ANSWER if number % 3 else "Yes") for number in range(9)]
    feed = TurnedFeed(MemoryFeed(rows))
    feed.open({0: PartitionPosition()}, None)
    fed = feed.take(0.0)
    assert fed.left_out == 3
    assert fed.at_end
    assert [(row.offset, row.kept.id) for row in fed.rows] == [(n, rows[n].id) for n in range(9) if n % 3]
    assert all(row.kept.instruction == question(ANSWER) and row.kept.input == "" for row in fed.rows)
    assert fed.rows[0].kept.output == rows[1].instruction
    feed.open({0: PartitionPosition()}, {0: PartitionPosition(9)})  # a later epoch
    again = feed.take(0.0)
    assert (again.rows, again.left_out) == (fed.rows, 0)


def test_of_a_file_only_rows_that_teach_are_dealt_out_or_measured(tmp_path: Path) -> None:
    path, lines = tmp_path / "rows.json", list[str]()
    rows = [{"instruction": f"Task {n}", "output": ANSWER if n % 2 else "Yes"} for n in range(8)]
    path.write_text(json.dumps([*rows, {"instruction": "Blank", "output": ""}]))
    source = from_file(path, 2, lines.append, "instruct")
    source.feed.open({cluster: PartitionPosition() for cluster in range(2)}, None)
    dealt = sorted((row.kept.generated_offset, row.kept.instruction) for row in source.feed.take(0.0).rows)
    assert dealt == [(0, "Task 1"), (1, "Task 3"), (2, "Task 5"), (3, "Task 7")]
    assert source.steps(1) == 2
    assert any("4 of 9 rows" in line and "fewer than 5 words" in line for line in lines)
    assert [row.output for row in read_rows(path, 3, task="instruct")] == ["Task 1", "Task 3", "Task 5"]

    path.write_text(json.dumps(rows[::2]))
    for read in (lambda: from_file(path, 2, task="instruct"), lambda: read_rows(path, task="instruct")):
        with pytest.raises(ConfigurationError, match="at least 5 words"):
            read()


def test_it_is_refused_live_and_never_writes_windows_or_into_the_runs_folder() -> None:
    with pytest.raises(ConfigurationError, match="--offline"):
        TrainOptions(run="r", model="m", task="instruct")
    generator = TrainOptions(run="r", model="m", task="instruct", offline=True)
    assert generator.from_log
    assert not generator.writes_windows
    assert TrainOptions(run="r", model="m", offline=True).writes_windows
    assert default_output("instruct", Path("s"), "r") != default_output("follow", Path("s"), "r")
