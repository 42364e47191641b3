"""The index against rouge_score itself: the same decision, the same score to the last bit, the same nearest item.

Each test is of the Python index, and of the compiled one where it is installed.
"""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from schemas.errors import ConfigurationError, SediError
from streams.core.similarity import lists as similarity_lists
from streams.core.similarity import reference as similarity_index
from streams.core.similarity import vocabulary as similarity_vocabulary
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.native import NativeIndex
from streams.core.similarity.reference import ReferenceIndex
from streams.core.similarity.rouge import fmeasure, rouge_l_fmeasure
from streams.core.similarity.tokenize import unicode_tokens
from tests.unit.core.conftest import compiled_core

SCORER = RougeScorer(["rougeL"])


@pytest.fixture(scope="module", autouse=True, params=[ReferenceIndex, NativeIndex])
def implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each index in turn stands for the one in use."""
    if request.param is NativeIndex:
        compiled_core()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.RougeLIndex", request.param)
        yield


THRESHOLDS = st.one_of(st.sampled_from([0.0, 0.5, 2 / 3, 0.7, 0.85, 0.9, 0.999]), st.floats(0.0, 1.0, exclude_max=True))
WORDS = st.sampled_from(["a", "b", "c", "d", "Wort", "X9", "naïve", "東京", "", "..."])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
FEW_WORDS = st.lists(st.sampled_from("ab"), min_size=1, max_size=40).map(" ".join)
STREAMS = st.lists(st.one_of(TEXTS, FEW_WORDS, st.text(max_size=20)), max_size=25)


def reference(texts: Sequence[str], query: str, threshold: float) -> tuple[float, int] | None:
    """The result of a loop over rouge_score: the highest F above the threshold, the earliest on ties."""
    best: tuple[float, int] | None = None
    for place, text in enumerate(texts):
        score = SCORER.score(text, query)["rougeL"].fmeasure
        if score > threshold and (best is None or score > best[0]):
            best = (score, place)
    return best


def answer(index: RougeLIndex, query: str, before: tuple[int, int] | None = None) -> tuple[float, int] | None:
    nearest = index.nearest_above(query, before)
    return None if nearest is None else (nearest[0], int(nearest[1]))


def filled(texts: Sequence[str], threshold: float) -> RougeLIndex:
    index = RougeLIndex(threshold)
    for place, text in enumerate(texts):
        index.add(str(place), text, (place, 0))
    return index


@settings(max_examples=100, deadline=None)
@given(THRESHOLDS, STREAMS)
def test_every_decision_over_a_stream_is_rouge_scores(threshold: float, stream: list[str]) -> None:
    index, kept = RougeLIndex(threshold), list[str]()
    for text in stream:
        assert answer(index, text) == reference(kept, text, threshold)
        index.add(str(len(kept)), text)
        kept.append(text)


@settings(max_examples=100, deadline=None)
@given(THRESHOLDS, STREAMS)
def test_a_stream_that_drops_what_is_similar_drops_what_rouge_score_would(threshold: float, stream: list[str]) -> None:
    index, kept = RougeLIndex(threshold), list[str]()
    for text in stream:
        verdict = answer(index, text)
        assert verdict == reference(kept, text, threshold)
        if verdict is None:
            index.add(str(len(kept)), text)
            kept.append(text)


@settings(max_examples=40, deadline=None)
@given(THRESHOLDS, STREAMS, TEXTS)
def test_filling_at_once_answers_as_filling_one_by_one(threshold: float, stream: list[str], query: str) -> None:
    index = RougeLIndex(threshold)
    index.extend((str(place), text, (place, 0)) for place, text in enumerate(stream))
    assert answer(index, query) == answer(filled(stream, threshold), query) == reference(stream, query, threshold)


@pytest.mark.parametrize("few_left", [1, 24])
@settings(max_examples=40, deadline=None)
@given(THRESHOLDS, STREAMS, TEXTS, st.integers(0, 25))
def test_only_items_of_a_smaller_position_count_with_before(
    few_left: int, threshold: float, stream: list[str], query: str, cut: int
) -> None:
    index = filled(stream, threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_index, "_FEW_NAMED", few_left)
        patch.setattr(similarity_index, "_FEW_LEFT", few_left)
        assert answer(index, query, (cut, 0)) == reference(stream[:cut], query, threshold)
        assert answer(index, query, (cut, 1)) == reference(stream[: cut + 1], query, threshold)


@pytest.mark.parametrize(
    "limits",
    [
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 1e9},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 0},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 1e9, "_FEW_LEFT": 1},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 0, "_FEW_LEFT": 1},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 0, "_FEW_LEFT": 1, "_FULL": 0},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 0, "_FEW_LEFT": 1, "_FULL": 0, "_WIDE_FROM": 0, "_HARDLY_ANY_FAILS": 2},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 0, "_FEW_LEFT": 1, "_FULL": 0, "_WIDE_FROM": 0, "_TRIED": 2},
        {"_FEW_NAMED": 0, "_SCAN_SHARE": 1e9, "_FEW_LEFT": 1, "_BANDED_FROM": 0},
    ],
    ids=[
        "gathered",
        "scanned",
        "gathered, at once",
        "scanned, at once",
        "not even scanned",
        "wide",
        "wide if worth it",
        "banded",
    ],
)
@settings(max_examples=30, deadline=None)
@given(THRESHOLDS, STREAMS, TEXTS)
def test_every_way_through_the_index_answers_the_same(
    limits: dict[str, int], threshold: float, stream: list[str], query: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(similarity_index, name, value)
        assert answer(filled(stream, threshold), query) == reference(stream, query, threshold)


@pytest.mark.parametrize("few_left", [1, 24])
@settings(max_examples=25, deadline=None)
@given(st.sampled_from([0.3, 0.7, 0.85]), STREAMS, TEXTS)
def test_a_vocabulary_larger_than_unicode_changes_nothing(
    few_left: int, threshold: float, stream: list[str], query: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_index, "_FEW_NAMED", few_left)
        patch.setattr(similarity_index, "_FEW_LEFT", few_left)
        patch.setattr(similarity_vocabulary, "_LAST_CHARACTER", 3)
        assert answer(filled(stream, threshold), query) == reference(stream, query, threshold)


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text())
def test_a_pairs_score_is_rouge_scores_to_the_last_bit(a: str, b: str) -> None:
    assert rouge_l_fmeasure(a, b) == rouge_l_fmeasure(b, a) == SCORER.score(a, b)["rougeL"].fmeasure


@pytest.mark.parametrize(
    ("lengths", "rejected"), [((9, 11), True), ((8, 12), True), ((7, 13), True), ((10, 10), False)]
)
def test_at_a_tie_the_last_bit_decides_as_in_rouge_score(lengths: tuple[int, int], rejected: bool) -> None:
    shared = [f"s{n}" for n in range(7)]
    a = " ".join(shared + [f"a{n}" for n in range(lengths[0] - 7)])
    b = " ".join(shared + [f"b{n}" for n in range(lengths[1] - 7)])
    assert (answer(filled([a], 0.7), b) is not None) == (reference([a], b, 0.7) is not None) == rejected


def test_elements_that_grow_frequent_move_and_nothing_is_lost() -> None:
    """Given a stream whose rare words become its most frequent ones, then every decision is still rouge_score's."""
    stream = [f"w{n % 7} w{n % 11} w{n % 13} w{n % 17} once{n} w{n % 5}" for n in range(300)]
    for threshold in (0.7, 0.85):
        index = RougeLIndex(threshold)
        for place, text in enumerate(stream):
            if place % 10 == 0:
                query = " ".join(text.split()[1:])
                assert answer(index, query) == reference(stream[:place], query, threshold)
            index.add(str(place), text)


@pytest.mark.parametrize("split_from", [0, 3, 256])
@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.85])
def test_texts_of_hundreds_of_repeated_tokens_are_compared_right(
    split_from: int, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity_lists, "_SPLIT_FROM", split_from)
    monkeypatch.setattr(similarity_index, "_SCAN_SHARE", 1e9)
    texts = [" ".join(f"t{(step * place) % (3 + place % 5)}" for step in range(60 + 22 * place)) for place in range(9)]
    index = filled(texts, threshold)
    queries = [texts[0], texts[4] + " more", texts[8], "t0 t1 " * 70]
    answers = [answer(index, query) for query in queries]
    assert answers == [reference(texts, query, threshold) for query in queries]
    assert all(answers[:3])


@pytest.mark.parametrize("split_from", [0, 1, 5])
@settings(max_examples=40, deadline=None)
@given(THRESHOLDS, STREAMS, TEXTS)
def test_split_lists_answer_as_whole_ones(split_from: int, threshold: float, stream: list[str], query: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_lists, "_SPLIT_FROM", split_from)
        patch.setattr(similarity_index, "_SCAN_SHARE", 1e9)
        index = filled(stream, threshold)
        assert answer(index, query) == reference(stream, query, threshold)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([0.1, 0.5, 0.7, 0.85]),
    st.lists(
        st.tuples(st.sampled_from([1, 20, 60, 100]), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=8
    ),
)
def test_lengths_around_the_longest_a_signature_tells_apart(
    threshold: float, shapes: list[tuple[int, int, int]]
) -> None:
    """Given texts of 1 to 300 tokens in lists that are all split, then none above the threshold is missed."""
    texts = [" ".join(f"w{n % (5 + other)}" for n in range(length * times // 2)) for length, times, other in shapes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_lists, "_SPLIT_FROM", 0)
        patch.setattr(similarity_index, "_SCAN_SHARE", 1e9)
        index = filled(texts[:-1], threshold)
        assert answer(index, texts[-1]) == reference(texts[:-1], texts[-1], threshold)


@pytest.mark.parametrize("limits", [(0, 1e9, 0), (256, 0, 0), (256, 0.5, 32)], ids=["split", "scanned", "as it is"])
@pytest.mark.parametrize(("threshold", "m"), [(0.3, 25), (0.5, 43), (0.7, 70), (0.7, 130), (0.85, 110), (0.85, 300)])
def test_the_longest_and_shortest_partners_are_found_and_nothing_beyond(
    limits: tuple[int, float, int], threshold: float, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity_lists, "_SPLIT_FROM", limits[0])
    monkeypatch.setattr(similarity_index, "_SCAN_SHARE", limits[1])
    monkeypatch.setattr(similarity_index, "_FEW_NAMED", limits[2])
    query = [f"q{n}" for n in range(m)]
    for n in range(1, 8 * m):
        score = fmeasure(min(m, n), m, n)
        if n not in (1, m) and abs(score - threshold) > 0.02:
            continue
        partner = " ".join(query[:n] + [f"p{extra}" for extra in range(n - m)])
        index = RougeLIndex(threshold)
        index.add("partner", partner)
        index.add("other", "something else")
        expected = (score, "partner") if score > threshold else None
        assert index.nearest_above(" ".join(query)) == expected, n


def test_a_text_without_tokens_is_similar_to_nothing_not_even_to_itself() -> None:
    index = filled(["", "...", "東京"], 0.0)
    assert [answer(index, text) for text in ("", "...", "東京")] == [None, None, None]
    assert index.tokens("東京") == [] and len(index) == 3


def test_with_the_unicode_tokenizer_other_scripts_are_compared() -> None:
    index = RougeLIndex(0.7, tokenizer=unicode_tokens)
    index.add("tokyo", "東京タワーの高さは")
    assert index.nearest_above("東京タワーの高さ") == (pytest.approx(16 / 17), "tokyo")


def test_an_id_is_held_once() -> None:
    index = filled(["some text"], 0.7)
    with pytest.raises(SediError, match="holds '0' already"):
        index.add("0", "other text")
    with pytest.raises(SediError, match="holds '0' already"):
        index.extend([("1", "before it", (1, 0)), ("0", "again", (2, 0)), ("2", "after it", (3, 0))])
    assert ("1" in index, "2" in index, len(index)) == (True, False, 2)
    assert answer(index, "before it") == (1.0, 1)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="at least 0 and below 1"):
        RougeLIndex(threshold)


def test_progress_rises_to_the_number_of_items() -> None:
    seen: list[int] = []
    RougeLIndex(0.7).extend(((str(n), f"text {n}", (n, 0)) for n in range(4500)), progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 4500 and len(seen) > 3


@pytest.mark.parametrize("limit", [0, 200, 80_000])
def test_what_stays_because_moving_it_would_take_long_is_found_all_the_same(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity_index, "_LARGEST_MOVE", limit)
    stream = [f"w{n % 3} w{n % 5} w{n % 7} once{n} w{n % 2}" for n in range(150)]
    index = filled(stream, 0.7)
    for query in [*stream[::7], *(f"other w{n % 3} w{n % 5} w{n % 7} w{n % 2}" for n in range(0, 150, 7))]:
        assert answer(index, query) == reference(stream, query, 0.7)


REMOVALS = st.lists(st.one_of(TEXTS, FEW_WORDS, st.integers(0, 24)), max_size=40)
WAYS: list[dict[str, int]] = [
    {},
    {"_FEW_NAMED": 0, "_SCAN_SHARE": 10**9},
    {"_FEW_NAMED": 0, "_SCAN_SHARE": 0, "_FEW_LEFT": 1},
    {"_FEW_NAMED": 0, "_SCAN_SHARE": 0, "_FEW_LEFT": 1, "_FULL": 0, "_WIDE_FROM": 0, "_HARDLY_ANY_FAILS": 2},
    {"_FEW_NAMED": 0, "_SCAN_SHARE": 10**9, "_FEW_LEFT": 1, "_BANDED_FROM": 0},
]


@pytest.mark.parametrize("limits", WAYS)
@settings(max_examples=60, deadline=None)
@given(THRESHOLDS, REMOVALS, TEXTS, st.sampled_from([1, 2, 256]))
def test_a_removed_text_is_as_if_it_had_never_been_added(
    limits: dict[str, int], threshold: float, script: list[str | int], query: str, split_from: int
) -> None:
    """A text is added, the one with that number is removed; it may be added again, as the latest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_lists, "_SPLIT_FROM", split_from)
        patch.setattr(similarity_vocabulary, "_CLASS_WIDTH", 2)
        for name, value in limits.items():
            patch.setattr(similarity_index, name, value)
        index, texts = RougeLIndex(threshold), dict[str, str]()
        for number, step in enumerate(script):
            if isinstance(step, str):
                index.add(str(number), step)
                texts[str(number)] = step
            elif str(step) in texts:
                index.remove(str(step))
                again = texts.pop(str(step))
                if number % 3 == 0:
                    index.add(str(step), again)
                    texts[str(step)] = again
            for asked in (query, *list(texts.values())[:2]):
                found = reference(list(texts.values()), asked, threshold)
                expected = None if found is None else (found[0], list(texts)[found[1]])
                assert index.nearest_above(asked) == expected
        assert len(index) == len(texts) and all(id in index for id in texts)


def test_only_what_is_there_can_be_removed() -> None:
    index = filled(["a b c"], 0.7)
    index.remove("0")
    assert "0" not in index and index.nearest_above("a b c") is None
    with pytest.raises(SediError, match="does not hold '0'"):
        index.remove("0")
