"""Segments of documents: what holds for any text, the options, and what each strategy cuts."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.documents.segments import CutOptions, count_words, cut, read_shares, read_words
from producers.documents.segments.centrality import centrality
from producers.documents.segments.sentences import outline, sentence_spans
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.segments import Segment, Strategy
from streams.core.documents.spans import segment_text

DOCUMENT = ids.child(ids.run_id("r"), "document")
ALL: dict[Strategy, float] = {"random": 1, "salient": 1, "structural": 1, "whole": 0.1}

PLANETS = """\
The Planets

A planet is a large body that moves around a star. Mercury is the smallest of the eight. It has no moon at all. Venus \
turns more slowly than any other planet. Its air is thick with carbon dioxide. Earth is the only planet with oceans of \
water. Mars has two small moons and a thin atmosphere.

The giant planets have these things in common:

- a deep atmosphere of hydrogen and helium
- rings of ice and dust
  around the equator
- many moons of very different sizes

Why is Mars red? The ground of Mars holds a lot of iron. This iron has rusted over millions of years.

“Have you seen the rings?” asked the astronomer of her guest that night.

“I have seen them twice, and each time they were brighter,” he said.

Carl Sagan once wrote, “Somewhere, something incredible is waiting to be known by us all.” The sentence is often quoted.

= = Notes = =

Copyright 2020, all rights reserved by the publisher of this text.
"""

_SENTENCES = (
    "The cat sat. |He left. |A dog is an animal that barks. |Why is that so? |“Yes,” she said. |x.Yes we"
    "|First, we ate. |Then, we slept. |(1) a (2) b (3) c. |<unk> @-@ |今日は天気がいい。|مرحبا بالعالم. "
    "|“|”|``|''|'|(|。|İ|Term: |  |\""
).split("|")
_LINES = (
    "= = Head = =|- an item of a list|1. Open the box.|2. Close the box.|Ann: Do you hear me?|Bob: I do."
    "|Q: Who?|A: You.|"
).split("|")
PIECES = st.sampled_from(
    [*_SENTENCES, *(f"{line}\n" for line in _LINES), "\r\n", "\u2028", "\x00", "\ud800", "\u0301", "x" * 300]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))
OPTIONS = st.builds(
    lambda shares, words, most, overlap: CutOptions(shares, min(words), max(words), most, overlap),
    st.dictionaries(st.sampled_from(["random", "salient", "structural", "whole"]), st.floats(0.01, 10), min_size=1),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.none() | st.integers(1, 5),
    st.booleans(),
)


def _cut(text: str, options: CutOptions | None = None, seed: int = 0, document: str = DOCUMENT) -> tuple[Segment, ...]:
    return cut(document, 7, text, options or CutOptions(ALL, 5, 40), seed)


@settings(deadline=None, max_examples=300)
@given(TEXTS, OPTIONS, st.integers(0, 3))
@example("Aa b c. " * 3000, CutOptions(ALL, 1, 40), 0)
@example("x" * 100_000, CutOptions(ALL, 1, 40), 0)
@example("=" * 30_000 + " " + " =" * 30_000 + "x", CutOptions(ALL, 1, 40), 0)
@example("``" * 30_000 + " A.", CutOptions(ALL, 1, 40), 0)
@example("- a\n" * 5_000, CutOptions(ALL, 1, 40), 0)
@example("Ann: you?\nBob: me?\nAnn: you?\n\nHead\n\n" * 1_500, CutOptions(ALL, 1, 40), 0)
def test_any_text_gives_segments_in_bounds_that_share_nothing_and_can_be_checked_against_it(
    text: str, options: CutOptions, seed: int
) -> None:
    segments = _cut(text, options, seed)
    assert segments == _cut(text, options, seed)
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert options.per_document is None or len(segments) <= options.per_document
    assert len({segment.id for segment in segments}) == len(segments)
    for segment in segments:
        assert segment.text == segment_text(text, segment.spans)
        assert segment.id == ids.segment_id(DOCUMENT, segment.strategy, segment.spans)
        assert options.min_words <= count_words(segment.text) <= options.max_words
        assert segment.strategy in options.shares
        assert (segment.form is not None) == (segment.strategy == "structural")
        assert not (segment.text[0].isspace() or segment.text[-1].isspace())
    groups = [[s for s in segments if s.strategy == strategy] for strategy in options.shares]
    for group in groups if options.overlap else [list(segments)]:
        spans = sorted(span for segment in group for span in segment.spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


@settings(deadline=None)
@given(TEXTS)
def test_sentences_of_any_text_are_in_order_and_lose_nothing_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        at = end
    assert not text[at:].strip()


def test_each_strategy_cuts_what_its_name_says() -> None:
    def only(strategy: Strategy) -> tuple[Segment, ...]:
        return _cut(PLANETS, CutOptions({strategy: 1}, 8, 40))

    forms = {segment.form: segment.text for segment in only("structural")}
    assert set(forms) == {"definition", "list", "question_answer", "dialogue", "quotation"}
    assert forms["definition"].startswith("A planet is a large body")
    assert forms["list"].startswith("The giant planets have these things in common:\n\n- a deep")
    assert forms["list"].endswith("different sizes")
    assert forms["question_answer"].startswith("Why is Mars red?")
    assert forms["dialogue"].startswith("“Have you seen") and forms["dialogue"].endswith("he said.")
    assert forms["quotation"].startswith("Carl Sagan once wrote")
    (whole,) = only("whole")
    assert whole.text.startswith("A planet is") and whole.text.endswith("carbon dioxide.")
    sentences = {outline(PLANETS).of(sentence) for sentence in outline(PLANETS).sentences}
    for segment in (*only("random"), *only("salient")):
        assert any(segment.text.startswith(sentence) for sentence in sentences)
        assert any(segment.text.endswith(sentence) for sentence in sentences)
        assert not segment.text.startswith(("It has", "Its air", "This iron"))
    assert not any("rights reserved" in s.text or "Notes" in s.text for s in _cut(PLANETS, CutOptions(ALL, 1, 40)))


def test_whole_is_all_of_a_document_that_is_within_the_bounds() -> None:
    text = "Apples\n\nApples are a fruit of trees. They keep all winter.\n\nStoring\n\nA cool cellar is best for them."
    (whole,) = _cut(text, CutOptions({"whole": 1}, 5, 40))
    assert whole.text == text.removeprefix("Apples\n\n")
    assert not _cut(text, CutOptions({"whole": 1}, 50, 60))


def test_a_run_ends_at_headings_and_where_a_line_break_was_lost() -> None:
    text = "Bees live in hives of wax.They make honey all summer.\n\nSwarms\n\nA swarm follows its queen far away."
    sentences = outline(text).sentences
    assert [outline(text).of(sentence) for sentence in sentences] == [
        "Bees live in hives of wax.",
        "They make honey all summer.",
        "A swarm follows its queen far away.",
    ]
    assert len({sentence.run for sentence in sentences}) == 3


def test_hard_wrapped_lines_are_one_paragraph_and_lines_of_a_web_page_are_not() -> None:
    wrapped = (
        "The lighthouse stands on a rock that the sea covers\nat high tide, so that its keeper can only be reached by\n"
        "boat. No road leads to it, and none will ever be\nbuilt."
    )
    assert [s.start for s in outline(wrapped).sentences] == [0, wrapped.index("No road")]
    assert outline(wrapped).sentences[-1].end == len(wrapped)
    page = "Home and garden\nOur roses grow in any soil.\nSend us a letter\nWe answer within a day."
    assert [outline(page).of(s) for s in outline(page).sentences] == [
        "Our roses grow in any soil.",
        "We answer within a day.",
    ]


def test_the_seed_and_the_document_decide_the_draws_and_fewer_of_a_document_are_the_first() -> None:
    text = " ".join(f"Sentence number {n} tells of the {word}." for n, word in enumerate(["sea", "sky", "hill"] * 60))
    options = CutOptions({"random": 1, "salient": 1}, 10, 30)
    segments = _cut(text, options)
    assert segments != _cut(text, options, seed=1)
    other = _cut(text, options, document=ids.child(ids.run_id("r"), "other"))
    assert [s.spans for s in segments] != [s.spans for s in other]
    assert _cut(text, CutOptions(options.shares, 10, 30, per_document=4)) == segments[:4]


def test_shares_are_those_asked_for() -> None:
    text = " ".join(f"Sentence number {n} tells of the {word}." for n, word in enumerate(["sea", "sky", "hill"] * 800))
    segments = _cut(text, CutOptions({"random": 1, "salient": 3}, 10, 14))
    salient = sum(segment.strategy == "salient" for segment in segments)
    assert len(segments) > 100
    assert 0.65 < salient / len(segments) < 0.85


def test_the_most_central_sentences_are_those_that_share_words_with_the_others() -> None:
    sentences = ["Bread needs flour and water.", "Flour and water and salt.", "Bread needs salt.", "Cars drive fast."]
    ranks = centrality(sentences)
    assert ranks.argmin() == 3
    assert centrality(["- -", "...", "?"]).tolist() == [centrality(["- -", "...", "?"])[0]] * 3


def test_segments_are_the_same_on_every_machine() -> None:
    """A change of the digest is a new `options.VERSION`, or a nupunkt that splits these sentences in another way."""
    found = "".join(segment.id for segment in _cut(PLANETS, CutOptions(ALL, 8, 40), seed=3))
    assert hashlib.sha256(found.encode()).hexdigest()[:16] == "0f3b25ccac98d7c1"


@pytest.mark.parametrize(
    ("text", "shares"),
    [("random=1,salient=2", {"random": 1, "salient": 2}), (" structural , whole=0.5", {"structural": 1, "whole": 0.5})],
)
def test_shares_are_read(text: str, shares: dict[str, float]) -> None:
    assert read_shares(text) == shares


@pytest.mark.parametrize("text", ["", "randm=1", "random=x", "random=-1", "random=0", "random=1,random", "random=nan"])
def test_wrong_shares_are_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError, match="random"):
        read_shares(text)


@pytest.mark.parametrize("text", ["", "15", "120-15", "0-5", "a-b", "15-1000000"])
def test_wrong_lengths_are_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError, match="15-120"):
        read_words(text)


def test_lengths_are_read_and_all_that_decides_the_segments_is_recorded() -> None:
    assert read_words(" 15-120 ") == (15, 120)
    options = CutOptions(read_shares("salient=2,random"), 15, 120, 9)
    found = options.parameters()
    assert found.pop("sentences") is not None
    assert found == {
        "strategies": "random=1,salient=2",
        "segment_words": "15-120",
        "per_document": 9,
        "overlap": False,
        "segments_version": 1,
    }
    with pytest.raises(ConfigurationError, match="1 or more"):
        CutOptions({"random": 1}, per_document=0)


def _documents(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        if path.name.endswith(".jsonl.gz"):
            yield from (json.loads(line)["text"] for line in lines)
        else:
            yield lines.read()


def test_every_public_corpus_gives_segments_of_each_strategy(data: Path) -> None:
    for path in sorted((data / "corpus").glob("*.gz")):
        found: set[str] = set()
        for number, text in enumerate(_documents(path)):
            for strategy in ("random", "salient", "structural", "whole"):
                segments = cut(ids.child(DOCUMENT, number), 0, text, CutOptions({strategy: 1}, per_document=5), 0)
                found.update(segment.strategy for segment in segments)
            if len(found) == 4:
                break
        assert len(found) == 4, path.name
