"""Splits a long text, so that each part fits into a record of the log."""

from collections.abc import Iterator

MAX_CHARACTERS = 100_000
"""Of a part. Six bytes a character at the most in JSON: far below what a record may hold."""

_ENDS = ("\n\n", "\n", ". ", " ")  # of a paragraph, a line, a sentence, a word


def parts(text: str, most: int = MAX_CHARACTERS) -> Iterator[tuple[int, str]]:
    """(start in characters, part) in order: the parts put together are the text.

    Parts are of about one length, at most `most`, and end where a paragraph does; where none ends, at a line's, a
    sentence's or a word's end.
    """
    start = 0
    while len(text) - start > most:
        left = -(-(len(text) - start) // most)
        end = _cut(text, start, start + -(-(len(text) - start) // left), start + most)
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def _cut(text: str, start: int, wanted: int, latest: int) -> int:
    """The end nearest to `wanted`, in the second half before it or up to `latest`."""
    earliest = (start + wanted) // 2
    for mark in _ENDS:
        before = text.rfind(mark, earliest, wanted)
        after = text.find(mark, wanted - len(mark) + 1, latest)
        found = [at + len(mark) for at in (before, after) if at >= 0 and at + len(mark) <= latest]
        if found:
            return min(found, key=lambda end: (abs(end - wanted), end))
    return wanted
