"""The heuristic rules are those of the baseline, each with its own reason and its own switch."""

import string

import pytest

from schemas.events import Instruction
from schemas.policy import ALL_RULES, Policy, RuleName, policy_for
from streams.core.rules import RULES, broken_rule

FINE = "Name three fruits that are red."

BREAKING: list[tuple[RuleName, Instruction]] = [
    ("too_short", Instruction(instruction="Name three fruits.", output="so")),
    ("too_short", Instruction(instruction=" one  two\tthree\n", output="so")),
    ("too_short", Instruction(instruction="", output="so")),
    ("too_long", Instruction(instruction="word " * 151, output="so")),
    *(
        ("unsuitable_word", Instruction(instruction=f"Tell me what this {word}, if any, is for.", output="so"))
        for word in (
            "image",
            "images",
            "graph",
            "graphs",
            "picture",
            "pictures",
            "file",
            "files",
            "map",
            "maps",
            "draw",
            "plot",
            "go to",
            "video",
            "audio",
            "music",
            "flowchart",
            "diagram",
            "IMAGE",
            "Go To",
            "Music",
        )
    ),
    ("write_program", Instruction(instruction="Write a program that adds two numbers.", output="so")),
    ("write_program", Instruction(instruction="Write a programme for the school play.", output="so")),
    *(
        ("starts_with_punctuation", Instruction(instruction=f"{mark}{FINE}", output="so"))
        for mark in string.punctuation
    ),
    *(("starts_non_ascii", Instruction(instruction=f"{first}{FINE}", output="so")) for first in "é“東…"),
    ("empty_output", Instruction(instruction=FINE, output="")),
    ("empty_output", Instruction(instruction=FINE, output=" \n\t")),
]

PASSING = [
    FINE,
    "Name three red fruits",
    "word " * 150,
    "Explain imagery, graphite, profiles, roadmaps, drawings and plotting.",
    "List videos, musical works and diagrams by their year.",
    "Going together, where do people go, and why to there?",
    "write a program that adds two numbers.",
    "Now Write a program that adds two numbers.",
    "Translate “déjà vu” and 東京 to English.",
]


@pytest.mark.parametrize(("reason", "task"), BREAKING)
def test_what_the_baseline_drops_is_dropped_with_its_own_reason(reason: RuleName, task: Instruction) -> None:
    assert broken_rule(task, Policy()) == reason


@pytest.mark.parametrize(("reason", "task"), BREAKING)
def test_a_rule_that_is_switched_off_drops_nothing(reason: RuleName, task: Instruction) -> None:
    others = tuple(name for name in ALL_RULES if name != reason)
    assert broken_rule(task, policy_for(rules=others)) is None


@pytest.mark.parametrize("text", PASSING)
def test_what_only_looks_like_it_passes(text: str) -> None:
    assert broken_rule(Instruction(instruction=text, output="so"), Policy()) is None


def test_every_rule_of_the_policy_is_implemented_and_tested() -> None:
    assert set(RULES) == set(ALL_RULES) == {reason for reason, _ in BREAKING}


def test_the_first_of_several_reasons_is_given() -> None:
    assert broken_rule(Instruction(instruction="Draw it"), Policy()) == "too_short"
    assert broken_rule(Instruction(instruction="Draw it"), policy_for(rules=("empty_output", "unsuitable_word"))) == (
        "unsuitable_word"
    )


@pytest.mark.parametrize(("words", "reason"), [(1, "too_short"), (2, None), (3, None), (4, "too_long")])
def test_the_length_limits_are_the_policys(words: int, reason: str | None) -> None:
    policy = policy_for(min_words=2, max_words=3)
    assert broken_rule(Instruction(instruction="word " * words, output="so"), policy) == reason
