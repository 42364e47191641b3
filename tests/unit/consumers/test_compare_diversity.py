"""Diversity: the exact similarity of a sample, guessed verbs and objects, entropy of clusters."""

import math

import pytest

from consumers.compare import diversity
from consumers.compare.diversity import entropy, nearest, words
from consumers.compare.words import root
from streams.core.similarity.rouge import rouge_l_fmeasure
from streams.core.similarity.tokenize import tokenizer

TEXTS = [f"Write {n} lines about the {word} of a {n % 7} year old" for n in range(30) for word in ("life", "dog")]


def exact(place: int) -> float:
    return max(rouge_l_fmeasure(TEXTS[place], before) for before in TEXTS[:place])


def test_the_similarity_of_a_kept_one_is_that_to_those_before_it_alone() -> None:
    found = nearest(TEXTS, tokenizer("rouge"))

    assert found.sampled == len(TEXTS) - 1
    assert found.mean == pytest.approx(sum(exact(place) for place in range(1, len(TEXTS))) / (len(TEXTS) - 1))


def test_of_many_only_every_nth_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "SAMPLE", 10)

    found = nearest(TEXTS, tokenizer("rouge"))

    places = range(5, len(TEXTS), 6)
    assert found.sampled == len(places) == 10
    assert found.mean == pytest.approx(sum(exact(place) for place in places) / 10)
    assert found.curve == tuple((place + 1, pytest.approx(exact(place))) for place in places)


@pytest.mark.parametrize("texts", [[], ["Only one of them"]], ids=len)
def test_without_two_texts_there_is_no_similarity(texts: list[str]) -> None:
    found = nearest(texts, tokenizer("rouge"))
    assert (found.sampled, found.mean, found.curve) == (0, None, ())


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Write a short story about a dog.", ("write", "story")),
        ("Please list three uses of an old tyre", ("list", "uses")),
        ("Can you name five long rivers in Germany?", ("name", "rivers")),
        ("Given a list of numbers, sort it in order", ("sort", None)),
        ("Using these words, construct a sentence that rhymes", ("construct", "sentence")),
        ("Come up with 3 slogans for a bakery", ("come", "slogans")),
        ("Explain how a kettle works", ("explain", None)),
        ("What is the capital of France?", None),
        ("The sky is blue", None),
        ("Given a list of numbers", None),
        ("3 + 4", None),
        ("", None),
    ],
)
def test_the_verb_and_its_object_are_guessed(instruction: str, expected: tuple[str, str | None] | None) -> None:
    assert root(instruction) == expected


def test_distinct_words_are_counted_and_the_most_frequent_pairs_shown() -> None:
    found = words(["Write a poem", "Write a long poem", "Name a river", "Explain why it rains", "Why does it rain?"])

    assert (found.with_verb, found.with_object) == (4, 3)
    assert (found.verbs, found.objects, found.pairs) == (3, 2, 2)
    assert found.most == (("write", "poem", 2), ("name", "river", 1))


def test_entropy_is_in_bits() -> None:
    assert entropy([5, 5, 5, 5]) == pytest.approx(2)
    assert entropy([7, 0, 0]) == 0
    assert entropy([3, 1]) == pytest.approx(0.75 * math.log2(4 / 3) + 0.25 * 2)
    assert entropy([0, 0]) is None


def test_balance_is_entropy_over_that_of_equal_clusters() -> None:
    found = diversity.diversity(["a b c d"], [1, 1, 0, 0], tokenizer("rouge"))
    assert (found.cluster_entropy, found.balance) == (1.0, 0.5)
    assert diversity.diversity(["a b c d"], [1], tokenizer("rouge")).balance is None
