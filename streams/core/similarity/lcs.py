"""A longest common subsequence, to display: the tokens of two texts that it pairs, and their spans.

The alignment is rapidfuzz's, of the length that `streams.core.similarity.rouge` scores by; one of several if there are
ties. Spans are found with the tokenizer itself, so they hold for every tokenizer; the cost is quadratic in the longest
gap between tokens.
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
    """The span of each token; None when one cannot be separated. `text[start:end]` tokenizes to that token alone."""
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
