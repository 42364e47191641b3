"""The project's own seed tasks: their file format, their variety, and that they are nobody else's sentences.

Similarity is ROUGE-L F over lower-case letters and digits without stemming, as the filter means it. The
comparison with the classic seed file runs only where that file is, under `$SEDI_DATA` or ../shared/data.
"""

import json
import os
import re
from collections import Counter
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import LCSseq

from schemas.seeds import SeedTask, parse_seed_lines

ROOT = Path(__file__).resolve().parents[3]
SEED_FILE = ROOT / "producers" / "seeds" / "seed_tasks.jsonl"
DATA = Path(os.environ.get("SEDI_DATA", ROOT.parent / "shared" / "data"))
CLASSIC_FILE = DATA / "seeds" / "self_instruct_seed_tasks.jsonl"
TOO_SIMILAR = 0.7
DEMO_SIZE = 24


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_l(a: list[str], b: list[str]) -> float:
    """2 * LCS / (|a| + |b|), which is the F measure of LCS / |a| and LCS / |b|."""
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return read_rows(SEED_FILE)


@pytest.fixture(scope="module")
def instructions(rows: list[dict[str, Any]]) -> list[str]:
    return [row["instruction"] for row in rows]


def test_there_are_as_many_seed_tasks_as_in_the_classic_set(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 175


def test_every_row_has_the_fields_of_the_classic_file_and_no_other(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert list(row) == ["id", "name", "instruction", "instances", "is_classification"]
        assert re.fullmatch(r"[a-z][a-z0-9_]*", row["name"]), row["id"]
        assert isinstance(row["is_classification"], bool), row["id"]


def test_ids_count_up_from_zero_and_names_are_unique(rows: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in rows] == [f"sedi_seed_{place}" for place in range(len(rows))]
    assert len({row["name"] for row in rows}) == len(rows)


def test_every_row_has_exactly_one_instance_with_an_output(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        (instance,) = row["instances"]
        assert set(instance) == {"input", "output"}, row["id"]
        assert instance["input"] == instance["input"].strip(), row["id"]
        assert 1 <= len(instance["output"].split()) <= 120, row["id"]


def test_every_instruction_is_one_line_of_six_to_sixty_words_led_by_ascii(instructions: list[str]) -> None:
    for instruction in instructions:
        assert instruction == " ".join(instruction.split())
        assert 6 <= len(instruction.split()) <= 60, instruction
        assert instruction[0].isascii() and instruction[0].isalnum(), instruction


def test_the_seed_parser_reads_what_the_file_says(rows: list[dict[str, Any]]) -> None:
    with SEED_FILE.open(encoding="utf-8") as lines:
        seeds = parse_seed_lines(lines, str(SEED_FILE))

    assert seeds == tuple(
        SeedTask(
            id=row["id"],
            instruction=row["instruction"],
            input=row["instances"][0]["input"],
            output=row["instances"][0]["output"],
            is_classification=row["is_classification"],
        )
        for row in rows
    )


def test_about_one_task_in_seven_is_a_classification_and_no_label_leads(rows: list[dict[str, Any]]) -> None:
    labels = Counter(row["instances"][0]["output"] for row in rows if row["is_classification"])

    assert labels.total() >= 25
    assert 0.14 <= labels.total() / len(rows) <= 0.16
    assert len(labels) >= 15
    assert max(labels.values()) <= labels.total() // 5


def test_about_half_of_the_tasks_come_with_an_input(rows: list[dict[str, Any]]) -> None:
    with_input = sum(bool(row["instances"][0]["input"]) for row in rows)

    assert 0.4 <= with_input / len(rows) <= 0.6


def test_the_first_tasks_which_a_demo_takes_are_short_and_varied(rows: list[dict[str, Any]]) -> None:
    first = rows[:DEMO_SIZE]

    assert len({row["instruction"].split()[0] for row in first}) >= 15
    assert 2 <= sum(row["is_classification"] for row in first) <= 6
    assert DEMO_SIZE // 3 <= sum(bool(row["instances"][0]["input"]) for row in first) <= 2 * DEMO_SIZE // 3
    assert max(len(row["instances"][0]["output"].split()) for row in first) < 60


def test_no_two_instructions_are_too_similar(instructions: list[str]) -> None:
    tokenised = [tokens(instruction) for instruction in instructions]

    worst, a, b = max((rouge_l(a, b), a, b) for a, b in combinations(tokenised, 2))

    assert worst < TOO_SIMILAR, (a, b)


def test_no_instruction_is_too_similar_to_a_classic_one(instructions: list[str]) -> None:
    if not CLASSIC_FILE.is_file():
        pytest.skip(f"the classic seed tasks are not at {CLASSIC_FILE}; set SEDI_DATA to the data folder")
    own = [tokens(instruction) for instruction in instructions]
    classic = [tokens(row["instruction"]) for row in read_rows(CLASSIC_FILE)]

    worst, a, b = max((rouge_l(a, b), a, b) for a, b in product(own, classic))

    assert worst < TOO_SIMILAR, (a, b)
