"""Whether a candidate copies its segment.

An instruction that repeats its answer makes the answer likelier than the true instruction does, so a copy must never be
compared by perplexity. Two things make a copy: many words in a row from the segment; or a sentence, quotation or field
that begins with words of the segment and has most of its words from it, in their order (ROUGE-L precision). The second
needs the first word, because true instructions often end, and hardly ever begin, with words of their answer:
"Name two causes of rust" and "Two causes of rust are ...".

Not known here: a copy in other words. A letter of a script without spaces counts as a word, as in the similarity.
"""

import re
from collections.abc import Sequence

from schemas.events import Instruction
from schemas.policy import Policy
from streams.core.similarity.rouge import lcs_length
from streams.core.similarity.tokenize import tokenizer

LEAST_WORDS = 5
"""Of a part that can be a copy by its share; shorter ones share their words by chance."""

_PARTS = re.compile(r"[.!?:;\n\"“”„«»…。！？：；「」『』]+")


def candidate_text(task: Instruction) -> str:
    """The text of a candidate that is compared with its segment: the instruction, and the input on a new line."""
    return f"{task.instruction}\n{task.input}" if task.input else task.instruction


def is_copy(candidate: str, segment: str, policy: Policy) -> bool:
    """Whether a candidate (`candidate_text`) copies its segment, by `max_copied_run` and `max_copied` of the policy."""
    words_of = tokenizer(policy.tokenizer)
    theirs = words_of(segment)
    if longest_run(words_of(candidate), theirs) > policy.max_copied_run:
        return True
    parts = {candidate, *_PARTS.split(candidate)}
    return any(_is_copied(words_of(part), theirs, policy.max_copied) for part in parts)


def longest_run(words: Sequence[str], others: Sequence[str]) -> int:
    """Length of the longest run of words that both have, one after the other."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(others):
        places.setdefault(word, []).append(place)
    longest = 0
    before: dict[int, int] = {}  # lengths of the runs that end at the last word, by their end in `others`
    for word in words:
        before = {place: before.get(place - 1, 0) + 1 for place in places.get(word, ())}
        longest = max(longest, *before.values(), 0)
    return longest


def _is_copied(words: Sequence[str], theirs: Sequence[str], most: float) -> bool:
    if len(words) < LEAST_WORDS:
        return False
    common = lcs_length(words, theirs)
    return common > most * len(words) and common > lcs_length(words[1:], theirs)
