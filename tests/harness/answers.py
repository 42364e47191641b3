"""Recorded answers for long runs: thousands of instructions, some of them duplicates or near-duplicates."""

import json
import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_VERBS = (
    "Explain",
    "Describe",
    "Compare",
    "Summarise",
    "Name",
    "Rewrite",
    "Plan",
    "Criticise",
    "Defend",
    "Outline",
    "Imagine",
    "Review",
    "Advertise",
    "Measure",
    "Question",
    "Predict",
    "Classify",
    "Repair",
    "Teach",
    "Praise",
)
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]
_RECENT = 2_000
_SAME, _SIMILAR = 0.08, 0.15  # shares of duplicates of an earlier instruction, and of those that differ in one word


def instructions(seed: int) -> Iterator[str]:
    """An endless, deterministic sequence of instructions, with Zipf-distributed words from a vocabulary of 20,000."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(_SYLLABLES, k=2 + rank % 2)) + "aeiou"[rank % 5] for rank in range(20_000)]
    weights = [1 / (rank + 20) for rank in range(len(words))]
    for rank in range(1, len(weights)):
        weights[rank] += weights[rank - 1]
    recent: deque[list[str]] = deque(maxlen=_RECENT)
    while True:
        kind = draw.random()
        if recent and kind < _SAME + _SIMILAR:
            text = list(draw.choice(recent))
            if kind >= _SAME:
                text[draw.randrange(1, len(text))] = draw.choice(words)
        else:
            text = [draw.choice(_VERBS), *draw.choices(words, cum_weights=weights, k=draw.randrange(6, 14))]
            recent.append(text)
        yield " ".join(text)


def write_answers(file: Path, generations: int, tasks: int, seed: int = 1) -> Path:
    """Write answers in the alpaca style, each with `tasks` tasks."""
    texts = instructions(seed)
    draw = random.Random(seed + 1)
    with file.open("w", encoding="utf-8") as out:
        for _ in range(generations):
            parts = []
            for number in range(4, 4 + tasks):
                words = " ".join(draw.choice(_SYLLABLES) for _ in range(draw.randrange(3, 10)))
                parts.append(
                    f"{number}. Instruction: {next(texts)}.\n{number}. Input: <noinput>\n{number}. Output: {words}."
                )
            raw = "\n###\n".join(parts).removeprefix("4. Instruction:")
            out.write(json.dumps({"raw": raw, "usage": {"prompt_tokens": 200, "completion_tokens": 40 * tasks}}) + "\n")
    return file
