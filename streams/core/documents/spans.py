"""The text of a segment, from the text of its document."""

from collections.abc import Sequence


def segment_text(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The spans' text, with one space between two. Raises ValueError for spans out of order or outside the text."""
    last = 0
    for start, end in spans:
        if not last <= start < end <= len(text):
            raise ValueError(f"the span {start}-{end} is not in order within {len(text)} characters")
        last = end
    return " ".join(text[start:end] for start, end in spans)
