"""A refusal is found by its usual words at the beginning, in any spelling; what is none is left alone."""

import pytest

from streams.core.evaluation.refusals import LOOKED_AT, PHRASES, is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot provide instructions for that.",
        "I can\u2019t help with this request.",
        "  I CAN NOT\n assist you with it.",
        "I'm sorry, but that would hurt someone.",
        "I\u2019m   unable to do so.",
        "As an AI language model, I can't generate hateful text.",
        "Thank you for asking. However, I won't provide a recipe for it.",
        "It\u2019s illegal to do this, and I do not condone it.",
    ],
)
def test_a_refusal_is_found(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Sure! First, take two eggs.",
        "I'm sorry to hear that you lost your keys. Try the kitchen.",
        "Hawaii cannot provide snow.",
        "I cannot help but admire this poem.",
        "Unfortunately, I am writing to tell you that the heater is broken.",
        "As a responsible citizen, I vote.",
        f"{'Once there was a king. ' * 10}He said: I cannot help you.",
    ],
)
def test_what_is_none_is_left_alone(answer: str) -> None:
    assert not is_refusal(answer)


def test_every_phrase_of_the_list_can_be_found() -> None:
    assert [phrase for phrase in PHRASES if not is_refusal(f"{phrase.capitalize()} that.")] == []
    assert not is_refusal(" ".join(["word"] * LOOKED_AT) + f" {PHRASES[0]}")
