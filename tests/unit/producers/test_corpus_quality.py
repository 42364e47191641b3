"""Which documents are dropped, at both sides of each limit; and no text is lost on the way."""

import math
import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.calls.event_size import larger_than_a_record
from producers.documents.corpus.cleaning import cleaned
from producers.documents.corpus.decide import DocumentDecider, parts_of
from producers.documents.corpus.parts import MAX_CHARACTERS, parts
from producers.documents.corpus.quality import QualityLimits
from producers.documents.corpus.readers import FoundText
from producers.documents.corpus.readers.found import digest
from schemas.documents import DocumentRead
from schemas.errors import ConfigurationError

WORDS = (
    "river stone garden window letter morning summer bridge mountain forest village market teacher doctor kitchen "
    "paper silver engine harbour lantern orchard glacier compass mirror violin kettle candle meadow valley thunder"
).split()


def prose(seed: int, sentences: int = 12) -> str:
    """English sentences that no other seed has."""
    rng = random.Random(seed)
    return " ".join(
        f"In the {rng.choice(WORDS)} near the {rng.choice(WORDS)} there was a {rng.choice(WORDS)} and the people of "
        f"the {rng.choice(WORDS)} had seen {rng.randrange(10_000)} of them."
        for _ in range(sentences)
    )


def decided(*texts: str, limits: QualityLimits | None = None) -> list[DocumentRead]:
    """The events of documents, one after the other."""
    limits = limits or QualityLimits()
    decider = DocumentDecider(limits)
    found = [FoundText("a.jsonl", place, "jsonl", digest(text), text) for place, text in enumerate(texts)]
    return [decider.decide(part) for each in found for part in parts_of(each, limits)]


def dropped(text: str, limits: QualityLimits | None = None) -> str | None:
    return decided(text, limits=limits)[0].dropped


def test_good_prose_is_used_whole() -> None:
    (found,) = decided(prose(1))
    assert (found.dropped, found.text, found.language) == (None, prose(1), "en")


def test_a_stub_is_shorter_than_its_limit_or_has_no_sentence() -> None:
    text = prose(1)
    limits = QualityLimits(min_characters=len(text))
    assert dropped(text, limits) is None
    (found,) = decided(text[:-1], limits=limits)
    assert (found.dropped, found.value, found.limit, found.text) == ("stub", len(text) - 1, len(text), "")
    assert dropped(text.replace(".", ","), QualityLimits()) == "stub"
    assert dropped("") == "stub"


def test_a_text_in_another_language_is_dropped_unless_any_is_wanted() -> None:
    german = (
        "Der Teich liegt hinter dem Dorf und wird vom Regen gespeist. Im Sommer baden dort die Kinder, und im Winter "
        "laufen sie auf dem Eis. Die alten Leute sagen, dass er tiefer ist, als man glaubt, und niemand weiss es genau."
    )
    assert dropped(german) == "language"
    assert dropped(german, QualityLimits(language="de")) is None
    assert decided(german, limits=QualityLimits(language="any"))[0].language == "de"
    assert dropped(prose(1), QualityLimits(language="de")) == "language"
    with pytest.raises(ConfigurationError, match="not known"):
        DocumentDecider(QualityLimits(language="klingon"))


def test_a_list_of_links_is_dropped_and_a_text_with_some_is_not() -> None:
    links = "\n".join(f"https://example.org/page/{n}/of/the/pond" for n in range(20))
    assert dropped(links + "\n" + prose(1, 2)) == "link_list"
    assert dropped("\n".join(f"Item {n}" for n in range(60))) == "link_list"
    assert dropped(prose(1) + "\nhttps://example.org/page") is None


def test_repetition_and_phrases_of_pages_are_boilerplate() -> None:
    line = prose(3, 1)
    assert dropped("\n".join([line] * 4)) == "boilerplate"
    assert dropped("\n".join([line, prose(4, 4), line])) is None
    cookies = "We use cookies to make this page better for all of you and for everybody else who comes."
    assert dropped(" ".join([cookies, prose(5, 2), cookies.replace("better", "faster")])) == "boilerplate"
    assert dropped(" ".join([cookies, prose(5)])) is None


def test_the_second_of_two_equal_or_nearly_equal_texts_is_dropped_and_names_the_first() -> None:
    text = prose(7, 20)
    first, equal, near, other = decided(
        text, text.upper().replace(" ", "  "), text.replace("people of", "folk of", 1), prose(8, 20)
    )
    assert (first.dropped, other.dropped) == (None, None)
    assert (equal.dropped, near.dropped) == ("duplicate", "near_duplicate")
    (first_id,) = {equal.nearest_id, near.nearest_id}
    assert first_id is not None
    assert near.value is not None and near.limit == 0.8 and near.value >= 0.8
    assert (
        decided(text, text.replace("people of", "folk of", 1), limits=QualityLimits(near_duplicate=1.0))[1].dropped
        is None
    )


LINKS = "\n".join(f"https://example.org/page/{n}/of/the/pond" for n in range(6))
COOKIES = "We use cookies to make this page better for all of you."
AT_THE_LIMIT: dict[str, tuple[str, list[str]]] = {  # setting: (reason, documents of which the last is measured)
    "max_bare": ("link_list", [f"{LINKS}\n{prose(1)}"]),
    "max_repeated_lines": ("boilerplate", ["\n".join([prose(3, 1), prose(4, 4), prose(3, 1)])]),
    "max_repeated_runs": ("boilerplate", [" ".join([prose(3, 3), prose(4, 6), prose(3, 3)])]),
    "max_phrases": ("boilerplate", [f"{prose(5)} {COOKIES}"]),
    "near_duplicate": ("near_duplicate", [prose(7, 20), prose(7, 20).replace("people of", "folk of", 1)]),
    "min_language_probability": ("language", ["Le chat dort sur la table et la maison est grande. " + prose(1, 2)]),
}


@pytest.mark.parametrize("setting", AT_THE_LIMIT)
def test_a_document_at_a_limit_and_one_beyond_it_are_on_different_sides(setting: str) -> None:
    reason, texts = AT_THE_LIMIT[setting]
    least = setting.startswith("min_")
    strictest = {"max": 0.0, "min": 1.0, "near": 0.0}[setting.split("_", maxsplit=1)[0]]
    wanted = QualityLimits(**{setting: strictest}, language="en" if least else "any")
    measured = decided(*texts, limits=wanted)[-1]
    assert (measured.dropped, measured.limit) == (reason, strictest) and measured.value is not None
    assert 0 < measured.value < 1

    at = decided(*texts, limits=replace(wanted, **{setting: measured.value}))[-1]
    side = math.nextafter(measured.value, 0 if setting.startswith("max_") else 1)
    beyond = decided(*texts, limits=replace(wanted, **{setting: side}))[-1]

    if setting == "near_duplicate":  # dropped from the limit on
        at, beyond = beyond, at
    assert (at.dropped, at.text) == (None, texts[-1])
    assert (beyond.dropped, beyond.value, beyond.text) == (reason, measured.value, "")


def test_sentences_are_counted_up_to_the_limit() -> None:
    text = prose(1, 3)
    assert dropped(text, QualityLimits(min_sentences=3)) is None
    (found,) = decided(text, limits=QualityLimits(min_sentences=4))
    assert (found.dropped, found.value, found.limit) == ("stub", 3, 4)


def test_unreadable_and_too_long_documents_are_dropped_without_their_text() -> None:
    limits = QualityLimits(max_characters=1_000)
    wrong = FoundText("a.pdf", 0, "pdf", digest("x"), wrong="damaged")
    (part,) = parts_of(wrong, limits)
    assert DocumentDecider(limits).decide(part).dropped == "unreadable"
    long = prose(1, 40)
    assert len(long) > 1_000
    assert [each.dropped for each in decided(long, limits=limits)] == ["too_long"]
    assert dropped(long[:1_000], limits) is None


@given(st.text(alphabet=st.sampled_from("ab .\n\u00e9\U0001f600"), max_size=400), st.integers(5, 60))
def test_the_parts_of_a_text_are_the_text(text: str, most: int) -> None:
    found = list(parts(text, most))
    assert "".join(part for _, part in found) == text
    assert [start for start, _ in found] == [sum(len(part) for _, part in found[:at]) for at in range(len(found))]
    assert all(len(part) <= most for _, part in found)


@given(st.text(max_size=300))
def test_cleaning_a_clean_text_changes_nothing_and_it_can_be_written(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once
    once.encode()  # can be written


def test_a_long_text_becomes_documents_that_fit_into_a_record() -> None:
    text = "\n\n".join(prose(seed, 30) for seed in range(80))
    found = decided(text + "\n\n" + "\U0001f600" * MAX_CHARACTERS, limits=QualityLimits(language="any"))
    assert len(found) > 3
    assert [each.start for each in found] == sorted({each.start for each in found})
    assert not any(larger_than_a_record(each) for each in found)
    whole = FoundText("a.txt", 0, "text", digest(text), "\ufeff" + text.replace("\n", "\r\n"))
    assert "".join(part.text for part in parts_of(whole, QualityLimits())) == cleaned(whole.text) == text
    used = [each for each in found if each.dropped is None]
    assert all(text[each.start : each.start + len(each.text)] == each.text for each in used)


def test_the_same_texts_in_the_same_order_give_the_same_events() -> None:
    texts = [prose(seed % 7, 10 + seed % 3) for seed in range(30)]
    once, again = (msgspec.json.encode(decided(*texts)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("limits", [{"near_duplicate": 1.5}, {"min_characters": -1}, {"max_bare": -0.1}])
def test_limits_out_of_range_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        QualityLimits(**limits)  # type: ignore[arg-type]
