"""A candidate that repeats its segment is a copy; a true instruction hardly ever is."""

import gzip
import json
import random
from pathlib import Path

import pytest

from schemas.events import Instruction
from schemas.policy import Policy, policy_for
from streams.core.documents.copies import candidate_text, is_copy, share_run

POLICY = Policy()
SEGMENT = (
    "Rust forms where iron meets water and air. Salt on the road makes it faster, because salty water carries charge "
    "well. Paint keeps both away from the metal."
)


@pytest.mark.parametrize(
    "candidate",
    [
        "Rust forms where iron meets water",
        "rust forms WHERE iron meets water and air!",
        "Rust forms when iron meets water and air.",
        'Continue this text: "Rust forms where iron meets"',
        "Write more. Paint keeps both away from metal.",
        "Say it again\nRust forms where iron meets water",
        "Please say why rust forms where iron meets water and air salt on the road makes",
        SEGMENT,
    ],
)
def test_starts_quotations_and_lightly_changed_sentences_of_the_segment_are_copies(candidate: str) -> None:
    assert is_copy(candidate, SEGMENT, POLICY)


@pytest.mark.parametrize(
    "candidate",
    [
        "Explain where rust forms and how paint helps.",
        "Explain why rust forms where iron meets water and air.",  # ends with words of the segment
        "Why does salt on the road make rust form faster?",
        "Rust forms where?",  # too few words to tell
        "Name three metals that never rust.",
        "",
    ],
)
def test_an_instruction_with_words_of_its_segment_is_none(candidate: str) -> None:
    assert not is_copy(candidate, SEGMENT, POLICY)


def test_the_input_counts_and_the_policy_sets_both_limits() -> None:
    task = Instruction(instruction="Correct the sentence.", input="Rust forms where iron meet water and air.")
    assert is_copy(candidate_text(task), SEGMENT, POLICY)
    assert not is_copy(candidate_text(task), SEGMENT, policy_for(max_copied=1.0))
    question = "Why does salt on the road make rust form faster?"
    assert is_copy(question, SEGMENT, policy_for(max_copied_run=3))
    assert not is_copy(question, SEGMENT, policy_for(max_copied_run=4))


@pytest.mark.parametrize(
    ("words", "others", "longest"),
    [("a b c d", "b c x c d a b", 2), ("a a a", "a a b a a a a", 3), ("", "a", 0), ("a", "", 0)],
)
def test_a_shared_run_is_of_neighbours_in_both(words: str, others: str, longest: int) -> None:
    found = [share_run(words.split(), others.split(), length) for length in range(1, 6)]
    assert found == [True] * longest + [False] * (5 - longest)


def test_few_true_instructions_are_copies_and_nearly_all_starts_of_the_output(data: Path) -> None:
    """Of answers that a model wrote to the instruction, and that often repeat the question."""
    with gzip.open(data / "alpaca" / "alpaca_data_00001_26000.json.gz") as file:
        rows = [row for row in json.load(file) if len(row["output"].split()) >= 15]
    rows = random.Random(1).sample(rows, 2_000)
    true = sum(is_copy(row["instruction"], row["output"], POLICY) for row in rows)
    starts = sum(is_copy(" ".join(row["output"].split()[:8]), row["output"], POLICY) for row in rows)
    quoted = sum(
        is_copy("Write what follows: " + " ".join(row["output"].split()[:12]), row["output"], POLICY) for row in rows
    )
    assert true < 0.04 * len(rows)
    assert min(starts, quoted) > 0.98 * len(rows)
