"""A long answer takes time in proportion to its length, whatever it is made of."""

import time
from collections.abc import Mapping

import pytest

from schemas.events import CallAnswered
from streams.core.parse.answers import AnswerForm, read
from streams.core.parse.layout import plain_layout

LENGTH = 3_000
TIMES = 8  # so linear is a ratio of 8, quadratic of 64
MOST = 28.0

PIECES = (
    "4. Instruction: a ",
    "4. Instruction: a\n4. Input: b\n4. Output: c\n###\n",
    "Output: ###\n",
    "xInput:**",
    "###\n",
    " ### x",
    "a ###\n",
    "```x\n",
    "```\na\n```\n5. Instruction: b\n",
    "~~~\n",
    "1. a\n",
    "2. a\n1. b\n",
    "- a ",
    "- ",
    "--- x",
    " ",
    "\n",
    "1 ",
    "> ",
    "# ",
    "Example ",
    "Input : ",
    "Class label:\n",
    "<|channel|>analysis ",
    "<think>",
    "</think>",
    "[",
    "<",
    "* ",
)


def answers(raw: str) -> Mapping[int, CallAnswered]:
    """One text as the answer of all steps."""
    answered = CallAnswered(
        request_id="r", attempt=1, model="m", raw=raw, finish_reason=None, usage=None, cost_usd=None, latency_s=0.0
    )
    return {0: answered, 1: answered, 2: answered}


def seconds(form: AnswerForm, raw: str) -> float:
    """The least CPU time of some readings."""
    found = answers(raw)
    spent = []
    for _ in range(3):
        started = time.process_time()
        read(form, found)
        spent.append(time.process_time() - started)
    return min(spent)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("style", ["alpaca", "two-step", "self-instruct"])
@pytest.mark.parametrize("head", ["", "- "])
def test_an_answer_of_eight_times_the_length_takes_about_eight_times_as_long(style: str, head: str, piece: str) -> None:
    form = AnswerForm(style, "strict", shown=3, most=5)
    short = head + piece * (LENGTH // len(piece)) + "x"
    long = head + piece * (TIMES * LENGTH // len(piece)) + "x"
    ratio = seconds(form, long) / max(seconds(form, short), 2e-4)
    assert ratio < MOST, f"{ratio:.0f} times as long"


@pytest.mark.usefixtures("uncollected")
def test_a_line_that_is_a_label_or_not_only_at_its_end_is_read_once() -> None:
    """Each of these was split in all ways between adjacent runs of blanks before it was given up."""
    for line in ("- " + "a" * 20_000, " " * 20_000 + "x", "---" + " " * 20_000 + "x", "# task 4" + " " * 20_000 + "x"):
        started = time.process_time()
        assert plain_layout(line)[0] == line
        assert time.process_time() - started < 1.0
