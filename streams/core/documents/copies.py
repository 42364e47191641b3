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
    if share_run(words_of(candidate), theirs, policy.max_copied_run + 1):
        return True
    parts = {candidate, *_PARTS.split(candidate)}
    return any(_is_copied(words_of(part), theirs, policy.max_copied) for part in parts)


def share_run(words: Sequence[str], others: Sequence[str], length: int) -> bool:
    """Whether both have so many words, one or more, one after the other."""
    runs = {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
    return bool(runs) and any(tuple(others[at : at + length]) in runs for at in range(len(others) - length + 1))


def _is_copied(words: Sequence[str], theirs: Sequence[str], most: float) -> bool:
    if len(words) < LEAST_WORDS:
        return False
    common = lcs_length(words, theirs)
    return common > most * len(words) and common > lcs_length(words[1:], theirs)
