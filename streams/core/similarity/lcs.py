"""A longest common subsequence itself, to be shown: which tokens of two texts it pairs, and where they stand.

The alignment is rapidfuzz's, whose length is the one that `streams.core.similarity.rouge` scores by; where several are
equally long it is one of them. Where a token stands is found by asking the tokenizer itself, so it holds for every
tokenizer; cost grows with the square of the longest gap between tokens.
"""

from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from streams.core.similarity.tokenize import Tokenizer

Span = tuple[int, int]
"""Characters [start, end) of a text."""


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Places (in a, in b) of the tokens of one longest common subsequence, in order."""
    numbers: dict[str, int] = {}
    first = [numbers.setdefault(token, len(numbers)) for token in a]
    second = [numbers.setdefault(token, len(numbers)) for token in b]
    blocks = LCSseq.opcodes(first, second).as_matching_blocks()
    return tuple((block.a + step, block.b + step) for block in blocks for step in range(block.size))


def token_spans(text: str, tokenizer: Tokenizer) -> tuple[Span, ...] | None:
    """Where each token of the text stands; None when a token cannot be told from what is around it.

    `text[start:end]` of each span gives its token alone.
    """
    spans: list[Span] = []
    at = 0
    for token in tokenizer(text):
        end = next((end for end in range(at + 1, len(text) + 1) if tokenizer(text[at:end]) == [token]), None)
        if end is None:
            return None
        start = at
        while start + 1 < end and tokenizer(text[start + 1 : end]) == [token]:
            start += 1
        spans.append((start, end))
        at = end
    return tuple(spans)
