"""What is no text: measures of a text alone, each with its limit. Pure.

A text is dropped for the first limit that it breaks: `stub` by its length, `link_list`, `boilerplate`, and `stub` by
its sentences. Lines are weighed by their characters, so that a page's menu does not count as much as its article.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields

from producers.documents.corpus.measured_text import MeasuredText
from schemas.documents import DropReason
from schemas.errors import ConfigurationError

ANY_LANGUAGE = "any"

_SENTENCE_END = re.compile(r"[.!?…。！？؟।][\"'”’»)\]]*(?=\s|$)|[。！？]")
_SENTENCES = re.compile(r"[^.!?…。！？؟।\n]+")
_LINK = re.compile(
    r"(?:https?://|www\.)\S+|\[[^\]]{0,1000}+\]\([^)\s]{1,2000}+\)"
    r"|(?<!\S)\S[^\s@]*+@\S+\.\w+"  # it is tried once a word, so the time is linear
)
_LINK_MARKS = ("://", "www.", "](", "@")  # one of them is in each link, and looking for it is quicker
_LIST_MARK = re.compile(r"^\s*(?:[-*+•·–]|\d{1,3}[.)])\s+")
_SEPARATOR = re.compile(r"\s[|•·»›>/]\s")
_ENDS_SENTENCE = re.compile(r"[.!?…:;,。！？；：，、؟।—–-][\"'”’»)\]*_]*$")

_SHORT_WORDS = 6
_FEWEST_RUNS = 40  # among fewer, one repetition is a large share

PHRASES = (
    "lorem ipsum",
    "dolor sit amet",
    "use cookies",
    "uses cookies",
    "using cookies",
    "accept cookies",
    "accept all cookies",
    "our cookies",
    "cookie policy",
    "cookie settings",
    "cookie notice",
    "privacy policy",
    "terms of use",
    "terms of service",
    "terms and conditions",
    "all rights reserved",
    "enable javascript",
    "requires javascript",
    "javascript is disabled",
    "javascript is not",
    "skip to content",
    "skip to main content",
    "subscribe to our",
    "subscribe to the newsletter",
    "sign up for",
    "log in to",
    "share on facebook",
    "share on twitter",
    "error 404",
    "404 error",
    "page not found",
    "powered by wordpress",
    "leave a reply",
    "leave a comment",
    "your email address will not be published",
    "click here to",
    "click here for",
    "add to cart",
)
"""Phrases of pages that are not part of their text, in lower case."""


@dataclass(frozen=True)
class QualityLimits:
    """When a document is dropped.

    language                   ISO 639-1; `any`: languages are found out, and none is dropped
    min_language_probability   of that language, as py3langid finds it
    min_characters             of a document or a part of it
    min_sentences              ends of sentences in it
    max_characters             of a document
    max_bare                   share of characters in lines that are links, menus, or few words without an end
    max_repeated_lines         share of characters in lines that stand above
    max_repeated_runs          share of runs of five words that stand above
    max_phrases                share of characters in sentences with a phrase of `PHRASES`
    near_duplicate             from this Jaccard similarity of runs of five words on
    """

    language: str = "en"
    min_language_probability: float = 0.2
    min_characters: int = 200
    min_sentences: int = 1
    max_characters: int = 10_000_000
    max_bare: float = 0.5
    max_repeated_lines: float = 0.3
    max_repeated_runs: float = 0.35
    max_phrases: float = 0.2
    near_duplicate: float = 0.8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0 <= value <= 1:
                raise ConfigurationError(f"{field.name} is {value}; give a share from 0 to 1.")
            if isinstance(value, int) and value < 0:
                raise ConfigurationError(f"{field.name} is {value}; give a number from 0 on.")


@dataclass(frozen=True)
class Dropped:
    """Why a document is dropped: what was measured, and the limit that it breaks; None: there is no such number."""

    reason: DropReason
    value: float | None = None
    limit: float | None = None
    nearest_id: str | None = None


def dropped_by_form(text: MeasuredText, limits: QualityLimits) -> Dropped | None:
    """The first limit that the text breaks, of those that need nothing but the text."""
    if len(text.text) < limits.min_characters:
        return Dropped("stub", len(text.text), limits.min_characters)
    for reason, share, most in _shares(text, limits):
        if share > most:
            return Dropped(reason, share, most)
    sentences = sentence_ends(text.text, limits.min_sentences)
    return Dropped("stub", sentences, limits.min_sentences) if sentences < limits.min_sentences else None


def _shares(text: MeasuredText, limits: QualityLimits) -> Iterator[tuple[DropReason, float, float]]:
    """(reason, measured, limit), the quickest to measure first."""
    yield "link_list", share_of_bare_lines(text.lines), limits.max_bare
    yield "boilerplate", share_of_repeated_lines(text.lines), limits.max_repeated_lines
    yield "boilerplate", share_of_phrases(text), limits.max_phrases
    yield "boilerplate", share_of_repeated_runs(text), limits.max_repeated_runs


def share_of_bare_lines(lines: list[str]) -> float:
    """Share of characters in lines that are mostly links, a menu, or few words that do not end as a sentence does."""
    total = sum(map(len, lines))
    return sum(len(line) for line in lines if _is_bare(line)) / total if total else 0.0


def share_of_repeated_lines(lines: list[str]) -> float:
    """Share of characters in lines that stand above already, whatever their case and spaces."""
    counted = Counter(" ".join(line.casefold().split()) for line in lines)
    total = sum(len(line) * times for line, times in counted.items())
    return sum(len(line) * (times - 1) for line, times in counted.items()) / total if total else 0.0


def share_of_repeated_runs(text: MeasuredText) -> float:
    """Share of the runs of five words that stand above already; 0 in a text with few of them."""
    runs = len(text.runs)
    return 0.0 if runs < _FEWEST_RUNS else 1 - text.different_runs / runs


def share_of_phrases(text: MeasuredText) -> float:
    """Share of characters in sentences with a phrase of pages."""
    there = [phrase for phrase in PHRASES if phrase in text.lower]
    if not there:
        return 0.0
    sentences = _SENTENCES.findall(text.lower)
    total = sum(map(len, sentences))
    found = sum(len(sentence) for sentence in sentences if any(phrase in sentence for phrase in there))
    return found / total if total else 0.0


def sentence_ends(text: str, enough: int) -> int:
    """How many sentences end in the text; counted up to `enough`."""
    return sum(1 for _ in _up_to(enough, text))


def _up_to(enough: int, text: str) -> Iterator[None]:
    for number, _ in enumerate(_SENTENCE_END.finditer(text)):
        if number >= enough:
            return
        yield None


def _is_bare(line: str) -> bool:
    said = _LIST_MARK.sub("", line.strip())
    if any(mark in said for mark in _LINK_MARKS):
        linked = sum(len(found[0]) for found in _LINK.finditer(said))
        if 2 * linked >= len(said):
            return True
    words = len(said.split())
    if words and 4 * len(_SEPARATOR.findall(said)) >= words:
        return True
    return words < _SHORT_WORDS and not _ENDS_SENTENCE.search(said)
