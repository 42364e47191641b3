"""The compiled core gives what its reference in Python gives, to the last bit, for every text and order of calls."""

import copy
import pickle
import random
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from os import environ
from time import process_time
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import ids, native
from schemas.errors import SediError
from schemas.events import Classifier
from schemas.policy import policy_for
from streams.core.cluster_fit import fit
from streams.core.clusters import NGRAMS, ClusterModel
from streams.core.similarity.native import NativeIndex
from streams.core.similarity.reference import ReferenceIndex
from streams.core.similarity.tokenize import rouge_tokens, unicode_tokens
from tests.unit.core.conftest import ROOT, compiled_core, own_seeds

core = compiled_core()

ENGLISH = [seed.instruction for seed in own_seeds()]
OTHERS = [
    "",
    " \n\t ",
    "...",
    "請用三句話解釋為什麼天空是藍色的。",
    "اشرح دورة الماء في ثلاث جمل",
    "Привет, мир! Explain привет",
    "👩‍👩‍👧 write 👍🏽 an emoji ❤️ poem",
    "İstanbul ǅ ß KELVIN ſhort ﬁne naïve",
    "x" * 3000,
    "a b " * 300,
    " ".join(f"w{n}" for n in range(700)),
    "no\x1cASCII\x1dspace\x85here\xa0at\u2028all\u3000？",
    "\x00 nul \x00",
]


def mixed(count: int, seed: int) -> list[str]:
    """Texts of many kinds, each with near copies."""
    draw = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        kind = draw.random()
        if kind < 0.5 or not found:
            words = draw.choice(ENGLISH).split()
            at = draw.randrange(len(words) + 1)
            words[at : at + draw.randrange(3)] = draw.choice(ENGLISH).split()[: draw.randrange(4)]
            found.append(" ".join(words))
        elif kind < 0.65:
            found.append(" ".join(f"t{int(draw.paretovariate(0.7))}" for _ in range(draw.randrange(1, 30))))
        elif kind < 0.75:
            found.append(" ".join(draw.choice("abc") for _ in range(draw.randrange(1, draw.choice([9, 90, 200])))))
        elif kind < 0.85:
            found.append(draw.choice(OTHERS) + draw.choice(OTHERS))
        else:
            near = list(draw.choice(found))
            for _ in range(draw.randrange(1, 6)):
                near.insert(draw.randrange(len(near) + 1), draw.choice("aZ 9.é文"))
            found.append("".join(near))
    return found


# -- the index -----------------------------------------------------------------------------------------------------


def agree(threshold: float, texts: Sequence[str], seed: int, tokenizer: Any = None) -> int:
    """Both indexes through one random order of calls; how many queries found something."""
    draw = random.Random(seed)
    ours = NativeIndex(threshold, tokenizer=tokenizer)
    reference = ReferenceIndex(threshold, tokenizer=tokenizer)
    held: list[str] = []
    hits = 0
    for number, text in enumerate(texts):
        before = draw.choice([None, None, (draw.randrange(number + 1), draw.randrange(3))])
        expected = reference.nearest_above(text, before)
        assert ours.nearest_above(text, before) == expected, (number, text[:80])
        hits += expected is not None
        if expected is None or draw.random() < 0.3:
            id = draw.choice([str(number), f"seed/{number}", f"{number:08x}-0000-5000-8000-{seed:012x}"])
            position = draw.choice([None, (number, draw.randrange(3)), (draw.randrange(number + 1), 1)])
            for index in (ours, reference):
                index.add(id, text, position)
            held.append(id)
        if held and draw.random() < 0.15:
            gone = held.pop(draw.randrange(len(held)))
            for index in (ours, reference):
                index.remove(gone)
        if number == len(texts) // 2:
            ours = pickle.loads(pickle.dumps(ours))
    assert len(ours) == len(reference) == len(held) and all(id in ours for id in held)
    assert ours.tokens(texts[0]) == reference.tokens(texts[0])
    return hits


@pytest.mark.parametrize(
    ("threshold", "count"), [(0.0, 300), (0.3, 600), (2 / 3, 1500), (0.7, 3000), (0.85, 1500), (0.99, 1500)]
)
def test_every_answer_is_the_references_in_any_order_of_calls(threshold: float, count: int) -> None:
    assert agree(threshold, mixed(count, seed=count), seed=count) > count / 20


def test_a_tokenizer_of_python_is_called() -> None:
    assert agree(0.7, mixed(600, seed=5), seed=5, tokenizer=unicode_tokens) > 100


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.99]),
    st.lists(st.one_of(st.text(max_size=12), st.lists(st.sampled_from(["a", "b", "é"])).map(" ".join)), min_size=1),
    st.integers(0, 9),
)
def test_every_answer_is_the_references_for_any_text(threshold: float, texts: list[str], seed: int) -> None:
    agree(threshold, texts, seed)


def test_lists_that_are_long_and_move_lose_nothing() -> None:
    """Given texts of few words, whose lists pass the length at which they are split, then all are found."""
    texts = [f"w{n % 7} w{n % 11} w{n % 13} once{n % 900} w{n % 5} " + "w1 " * (n % 4) for n in range(2500)]
    ours, reference = NativeIndex(0.7), ReferenceIndex(0.7)
    for index in (ours, reference):
        index.extend((str(n), text, (n, 0)) for n, text in enumerate(texts))
    for n in range(0, 2500, 17):
        for index in (ours, reference):
            index.remove(str(n))
    queries = [text.replace("once", "other") for text in texts[::9]] + texts[::21]
    assert [ours.nearest_above(query) for query in queries] == [reference.nearest_above(query) for query in queries]


# -- long texts ----------------------------------------------------------------------------------------------------


def long_texts(count: int, words: int) -> list[str]:
    """Texts of so many words, nearly all distinct, with parts left out, put in and moved."""
    draw = random.Random(words)
    found = [[f"w{n:x}" for n in range(words)]]
    while len(found) < count:
        near = list(draw.choice(found))
        for _ in range(draw.randrange(1, 20)):
            at, size = draw.randrange(len(near)), draw.choice([1, 63, 64, 65, 400])
            near[at : at + size] = draw.choice([[], [f"z{draw.randrange(words):x}"] * size, near[-size:]])
        found.append(near)
    return [".".join(text) for text in found]  # one word for the rules, which count words


def test_answers_on_long_texts_are_the_references() -> None:
    assert agree(0.7, long_texts(24, words=6000), seed=1) > 12


def test_memory_grows_with_the_length_of_a_text_and_not_with_its_square() -> None:
    """Masks of all distinct tokens over the whole text would be 1.2 GB."""
    program = """
import resource
from streams.core.similarity.native import NativeIndex
index, words = NativeIndex(0.7), [f"{n:x}" for n in range(100_000)]
index.add("0", ".".join(words))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert index.nearest_above(".".join(words[:90_000])) is not None
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("kind", [NativeIndex, ReferenceIndex])
def test_thousands_of_words_that_become_more_frequent_at_once_move_at_once(kind: type[ReferenceIndex]) -> None:
    """Given long texts with one half in common, then each is listed anew once, not once for each of these words."""
    index, common = kind(0.7), [f"c{n:x}" for n in range(8_000)]
    seconds = []
    for number in range(4):
        own = [f"n{number}x{n:x}" for n in range(10_000)]
        started = process_time()
        index.add(str(number), ".".join(own + common))
        seconds.append(process_time() - started)
    assert seconds[3] < 10 * max(seconds[:3]) + 0.02
    assert index.nearest_above(".".join(own[50:] + common)) == (pytest.approx(0.9986, abs=1e-4), "3")


@pytest.mark.parametrize("kind", [NativeIndex, ReferenceIndex])
def test_an_item_that_is_unlike_all_before_it_is_added(kind: type[ReferenceIndex]) -> None:
    texts = mixed(400, seed=9)
    one, other = kind(0.7), kind(0.7)
    items = [(str(number), text, (number, 0)) for number, text in enumerate(texts)]
    found = [each for start in range(0, 400, 11) for each in one.add_unless_similar(items[start : start + 11])]
    for (id, text, position), nearest in zip(items, found, strict=True):
        assert other.nearest_above(text) == nearest
        if nearest is None:
            other.add(id, text, position)
    assert 50 < len(one) == len(other) < 400
    for refused in ([("new", "a text", (0, 0)), ("0", "b", (0, 0))], [("new", "a", (0, 0)), ("new", "b", (0, 0))]):
        with pytest.raises(SediError, match="already; add an item once"):
            one.add_unless_similar(refused)
    assert "new" not in one


def test_a_copy_goes_its_own_way() -> None:
    index = NativeIndex(0.7, tokenizer=unicode_tokens)
    index.extend([("a", "one two three", (3, 1)), ("", "東京タワー", (2, 0)), ("gone", "four five", (9, 9))])
    index.remove("gone")
    other = copy.deepcopy(index)
    other.add("b", "six seven")
    assert (len(index), len(other), "b" in index, "gone" in other) == (2, 3, False, False)
    assert other.nearest_above("six seven", (9, 10)) is None  # at the position after the last, removed or not
    assert other.nearest_above("東京タワー") == index.nearest_above("東京タワー") == (1.0, "")
    with pytest.raises(ValueError, match="no pickled index"):
        core.Index.load(index._index.dump()[:-3])


# -- tokens and clusters -------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_tokens_are_the_references_even_of_half_a_surrogate_pair(text: str) -> None:
    assert core.rouge_tokens(text) == rouge_tokens(text)
    index = NativeIndex(0.0)
    index.add("0", text)
    assert (index.nearest_above(text) is None) == (not rouge_tokens(text))


def models(classifier: Classifier) -> tuple[ClusterModel, ClusterModel]:
    """Of the compiled core, and of Python alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "CORE", None)
        reference = ClusterModel(classifier)
        assert reference._compiled is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "CORE", core)
        compiled = ClusterModel(classifier)
        assert compiled._compiled is not None
    return compiled, reference


@pytest.mark.parametrize("clusters", [1, 4, 16])
def test_coordinates_and_clusters_are_the_references_to_the_last_bit(clusters: int) -> None:
    classifier = fit([*ENGLISH, *OTHERS], policy_for(clusters=clusters))
    compiled, reference = models(classifier)
    texts = [*mixed(3000, seed=clusters), *OTHERS, "half \ud800 a pair"]
    assert compiled._compiled is not None
    assert list(map(tuple, compiled._compiled.coordinates(texts[:-1]))) == list(map(reference.coordinates, texts[:-1]))
    expected = [reference.cluster(text) for text in texts]
    assert compiled.clusters(texts) == reference.clusters(texts) == expected
    assert [compiled.cluster(text) for text in texts[-50:]] == expected[-50:]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), min_size=1, max_size=4))
def test_words_and_ngrams_of_any_text_are_the_references(texts: list[str]) -> None:
    terms = tuple(sorted({text.lower()[:n] for text in texts for n in (1, 2, 3)} | {" a ", " e", "a ", "é"}))
    weights = tuple(1 + place / 7 for place in range(len(terms)))
    compiled, reference = models(
        Classifier(ngrams=(1, 3), vocabulary=terms, idf=weights, components=(weights,), means=(0.1,), cuts=((1.0,),))
    )
    assert compiled._compiled is not None
    assert compiled._compiled.coordinates(texts) == [list(reference.coordinates(text)) for text in texts]


def test_white_space_is_pythons() -> None:
    compiled, reference = models(
        Classifier(ngrams=NGRAMS, vocabulary=(" a ",), idf=(1.0,), components=((1.0,),), means=(0.0,), cuts=((1.0,),))
    )
    characters = [chr(point) for point in range(0x11000) if not 0xD800 <= point < 0xE000]
    texts = [f"b{character}a" for character in characters]
    assert compiled.clusters(texts) == [int(character.isspace()) for character in characters]
    assert reference.clusters(texts[:0x3100]) == [int(character.isspace()) for character in characters[:0x3100]]


# -- ids -----------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.uuids().map(str), st.text(st.characters(exclude_categories=("Cs",)), max_size=150))
def test_ids_are_those_of_the_standard_library(cause: str, place: str) -> None:
    assert core.child_id(cause, place) == str(uuid5(UUID(cause), place))


def test_what_is_no_id_in_its_usual_form_is_left_to_python() -> None:
    cause = "929d7158-f48f-518f-990e-011b42b229a0"
    for length in range(200):  # each way in which the last block of the hash is filled
        assert core.child_id(cause, "x" * length) == str(uuid5(UUID(cause), "x" * length))
    for other in (cause.upper(), cause.replace("-", ""), "default", cause[:-1], f"{cause}0", "é" * 18, ""):
        assert core.child_id(other, "0") is None
    assert ids.child(cause.upper(), 0) == ids.child(cause, 0) == core.child_id(cause, "0")


# -- the choice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "expected"), [("0", "ReferenceIndex"), ("", "NativeIndex")])
def test_the_environment_turns_it_off(setting: str, expected: str) -> None:
    program = "from streams.core.similarity.index import RougeLIndex; print(RougeLIndex.__name__)"
    values = {**environ, native.SWITCH: setting}
    done = subprocess.run([sys.executable, "-c", program], env=values, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_one_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    package = tomllib.loads((ROOT / "native" / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    assert package["version"] == native.VERSION
    monkeypatch.delenv(native.SWITCH, raising=False)
    assert native._choose() == (core, f"compiled, {native.VERSION}")
    monkeypatch.setattr(core, "VERSION", "0.9")
    assert native._choose() == (None, "installed is 0.9, which goes with another version of this program")
    monkeypatch.delattr(core, "VERSION")
    assert native._choose()[0] is None
