"""Segments of documents.

cut           a document's segments: a pure function of its text, its id, the options and a seed
CutOptions    strategies and their shares, lengths, how many
read_shares   `random=1,salient=1`
read_words    `15-120`
count_words   how lengths are counted

A document is read into blocks (`blocks`) and sentences (`sentences`); the strategies propose segments of these (`runs`,
`salient`, `structural`), and `cutting` deals them out.
"""

from producers.documents.segments.cutting import cut
from producers.documents.segments.options import CutOptions, read_shares, read_words
from producers.documents.segments.words import count_words

__all__ = ["CutOptions", "count_words", "cut", "read_shares", "read_words"]
