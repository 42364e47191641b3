"""The classifier: a function of its numbers, with even cells on the fitted texts, refitted at its marks."""

import functools
import math
import operator
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer

from schemas.errors import ConfigurationError
from schemas.events import Classifier
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask
from streams.core import cluster_fit, clusters
from streams.core.cluster_fit import fit, marks_passed, next_refit
from streams.core.clusters import NGRAMS, ClusterModel, char_ngrams
from tests.unit.core.conftest import own_seeds

TEXTS = [seed.instruction for seed in own_seeds()]
OTHERS = [
    "",
    "   ",
    "?",
    "東京タワーの高さは",
    "a",
    "Explain why leaves turn red in autumn.",
    "x" * 3000,
    "İstanbul ǅ ß",
]

WORD = " a "  # what the word "a" gives, and nothing else does


def one_axis(cut: float, *, mean: float = 0.0, weight: float = 1.0) -> ClusterModel:
    """A classifier that sees the word "a" only: its coordinate is `weight - mean`, any other text's is `-mean`."""
    return ClusterModel(
        Classifier(
            ngrams=NGRAMS, vocabulary=(WORD,), idf=(1.0,), components=((weight,),), means=(mean,), cuts=((cut,),)
        )
    )


# -- n-grams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("", []),
        (" \n\t ", []),
        ("A", [" a", "a ", " a "]),
        ("to", [" t", "to", "o ", " to", "to ", " to "]),
        ("be", [" b", "be", "e ", " be", "be ", " be "]),
    ],
)
def test_ngrams_are_taken_within_words_with_a_blank_on_either_side(text: str, grams: list[str]) -> None:
    assert char_ngrams(text, NGRAMS) == grams


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.sampled_from([(2, 4), (1, 1), (3, 5), (5, 6)]))
def test_ngrams_are_scikit_learns(text: str, sizes: tuple[int, int]) -> None:
    theirs = TfidfVectorizer(analyzer="char_wb", ngram_range=sizes).build_analyzer()
    assert Counter(char_ngrams(text, sizes)) == Counter(theirs(text))


# -- applying ------------------------------------------------------------------------------------------------------


def test_a_coordinate_on_the_cut_counts_as_above_it() -> None:
    assert one_axis(1.0).coordinates("a") == (1.0,)
    assert one_axis(1.0).cluster("a") == 1
    assert one_axis(math.nextafter(1.0, 2.0)).cluster("a") == 0
    assert one_axis(0.5, mean=0.5).cluster("a") == 1
    assert one_axis(0.0).cluster("no such word") == 1


def test_bit_k_of_the_cluster_is_the_side_of_the_cut_on_axis_k() -> None:
    """Given cuts that differ by node, then the cut on the second axis is the one of the half that the text is in."""
    model = ClusterModel(
        Classifier(
            ngrams=NGRAMS,
            vocabulary=(WORD, " b "),
            idf=(1.0, 1.0),
            components=((1.0, 0.0), (0.5, 0.5)),
            means=(0.0, 0.0),
            cuts=((0.6,), (0.5, 0.55)),
        )
    )
    assert model.coordinates("b") == (0.0, 0.5) and model.cluster("b") == 0b10
    assert model.coordinates("a") == (1.0, 0.5) and model.cluster("a") == 0b01
    assert model.cluster("a a a b") == 0b11
    assert model.cluster("other words") == 0b00


def test_a_text_of_unknown_ngrams_is_placed_where_nothing_is() -> None:
    assert one_axis(0.0, mean=0.25).coordinates("other words") == (-0.25,)
    assert one_axis(0.0, mean=0.25).coordinates("") == (-0.25,)


def test_applying_adds_in_the_order_of_the_columns_so_that_it_is_the_same_on_every_machine() -> None:
    classifier = fit(TEXTS, policy_for(clusters=4))
    model = ClusterModel(classifier)
    column = {term: place for place, term in enumerate(classifier.vocabulary)}

    def total(terms: Sequence[float]) -> float:
        return functools.reduce(operator.add, terms)

    for text in TEXTS[:40]:
        counts = sorted(Counter(column[gram] for gram in char_ngrams(text, NGRAMS) if gram in column).items())
        weights = [count * classifier.idf[place] for place, count in counts]
        norm = math.sqrt(total([weight * weight for weight in weights]))
        assert model.coordinates(text) == tuple(
            total([count * (axis[place] * classifier.idf[place]) for place, count in counts]) / norm - mean
            for axis, mean in zip(classifier.components, classifier.means, strict=True)
        )


@pytest.mark.parametrize("texts", [[*TEXTS, *OTHERS], ["?", ""], TEXTS[:1]])
def test_many_texts_at_once_have_the_very_coordinates_of_each(
    texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut is one of them, and a text on the cut must not fall below it when it comes alone."""
    monkeypatch.setattr(clusters, "_TEXTS_AT_ONCE", 7)
    model = ClusterModel(fit(TEXTS, policy_for(clusters=8)))
    column = {term: place for place, term in enumerate(model._numbers.vocabulary)}
    counts = np.zeros((len(texts), len(column)))
    for row, text in enumerate(texts):
        for term in char_ngrams(text, NGRAMS):
            if term in column:
                counts[row, column[term]] += 1
    assert model.coordinates_of(csr_matrix(counts)) == [model.coordinates(text) for text in texts]


def test_many_texts_at_once_have_the_cluster_of_each() -> None:
    """Also a text on a cut: the model's own texts, and cuts at their coordinates, last bit and all."""
    fitted = fit(TEXTS, policy_for(clusters=8))
    model = ClusterModel(fitted)
    for some in ([*TEXTS, *OTHERS], ["", "?"], TEXTS[:1], []):
        assert model.clusters(some) == [model.cluster(text) for text in some]
    for text in TEXTS[:50]:
        on = model.coordinates(text)
        at = ClusterModel(msgspec.structs.replace(fitted, cuts=tuple((on[axis],) * 2**axis for axis in range(len(on)))))
        assert at.clusters([*TEXTS[:50], text]) == [at.cluster(each) for each in (*TEXTS[:50], text)]
        assert at.clusters([text]) == [7]


def test_a_fit_counts_as_scikit_learns_vectorizer_does() -> None:
    texts = TEXTS[:60]
    vectorizer = TfidfVectorizer(analyzer=lambda text: char_ngrams(text, NGRAMS)).fit(texts)
    weight = dict(zip(vectorizer.get_feature_names_out(), vectorizer.idf_, strict=True))
    classifier = fit(texts, policy_for(clusters=4))
    assert {term: float(f"{weight[term]:.7g}") for term in classifier.vocabulary} == dict(
        zip(classifier.vocabulary, classifier.idf, strict=True)
    )


def test_squares_are_correctly_rounded_which_pow_does_not_promise() -> None:
    for idf in (1 + place / 777 for place in range(0, 20_000)):
        classifier = Classifier(
            ngrams=NGRAMS,
            vocabulary=(WORD, " b "),
            idf=(idf, 1.0),
            components=((0.0, 1.0),),
            means=(0.0,),
            cuts=((0.0,),),
        )
        assert ClusterModel(classifier).coordinates("a b") == (1.0 / math.sqrt(math.fsum((idf * idf, 1.0))),)


# -- fitting -------------------------------------------------------------------------------------------------------


def cells(model: ClusterModel, texts: Sequence[str], policy: Policy) -> list[int]:
    counts = Counter(model.cluster(text) for text in texts)
    assert set(counts) <= set(range(policy.clusters))
    return [counts[cluster] for cluster in range(policy.clusters)]


@pytest.mark.parametrize("kind", ["nested", "balanced"])
@pytest.mark.parametrize("clusters", [2, 4, 8, 16, 32])
def test_nested_and_balanced_cuts_give_equal_cells_on_what_was_fitted(clusters: int, kind: str) -> None:
    policy = policy_for(clusters=clusters, classifier=kind)
    sizes = cells(ClusterModel(fit(TEXTS, policy)), TEXTS, policy)
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == len(TEXTS)


def test_balanced_cuts_send_new_rows_to_the_clusters_that_are_behind() -> None:
    policy, before = policy_for(clusters=4, refit_from=40, refit_growth=2), (30, 0, 10, 10)
    classifier = fit(TEXTS, policy, before)
    sizes = cells(ClusterModel(classifier), TEXTS, policy)
    wanted = [max(0, 20 - size) / 40 * len(TEXTS) for size in before]  # 80 rows at the next fit
    assert all(abs(size - share) <= 2 for size, share in zip(sizes, wanted, strict=True)), (sizes, wanted)
    assert sizes[0] == 0, "a cluster that has more than its share gets none"


def test_no_text_lies_on_a_balanced_cut() -> None:
    classifier = fit(TEXTS, policy_for(clusters=16), tuple(range(16)))
    model = ClusterModel(classifier)
    for text in TEXTS:
        node = 0
        for axis, coordinate in enumerate(model.coordinates(text)):
            assert abs(coordinate - classifier.cuts[axis][node]) > 1e-7
            node |= (coordinate >= classifier.cuts[axis][node]) << axis


def test_literal_cuts_are_at_zero() -> None:
    policy = policy_for(clusters=16, classifier="literal")
    classifier = fit(TEXTS, policy)
    assert classifier.cuts == tuple((0.0,) * 2**axis for axis in range(4))
    model = ClusterModel(classifier)
    for text in TEXTS:
        signs = [coordinate >= 0 for coordinate in model.coordinates(text)]
        assert model.cluster(text) == sum(bit << axis for axis, bit in enumerate(signs))
    sizes = cells(model, TEXTS, policy)
    assert max(sizes) > 2 * min(sizes), "which is why it is not the default"


def test_classifiers_differ_in_their_cuts_only() -> None:
    nested, balanced, literal = (fit(TEXTS, policy_for(classifier=kind)) for kind in ("nested", "balanced", "literal"))
    assert msgspec.structs.replace(nested, cuts=literal.cuts) == literal != nested
    assert msgspec.structs.replace(balanced, cuts=literal.cuts) == literal != balanced


def test_coordinates_are_those_of_scikit_learn() -> None:
    """Given its own vectoriser of characters within words and its own PCA, then places differ by less than 1e-6."""
    classifier = fit(TEXTS, policy_for(clusters=16))
    # of n-grams that are equally frequent it takes some and leaves others in no order, so it is told which
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, vocabulary=classifier.vocabulary)
    matrix = vectorizer.fit_transform(TEXTS)
    pca = PCA(n_components=4, svd_solver="arpack", random_state=0).fit(matrix)
    model = ClusterModel(classifier)
    unseen = [text for text in OTHERS if text.strip()]
    theirs = pca.transform(vectorizer.transform(TEXTS + unseen))
    ours = np.array([model.coordinates(text) for text in TEXTS + unseen])
    assert np.abs(theirs - ours).max() < 1e-6


def test_the_numbers_are_the_classifier_also_after_json() -> None:
    classifier = fit(TEXTS, policy_for())
    back = msgspec.json.decode(msgspec.json.encode(classifier), type=Classifier)
    assert back == classifier
    assert [ClusterModel(back).cluster(t) for t in TEXTS + OTHERS] == [
        ClusterModel(classifier).cluster(t) for t in TEXTS + OTHERS
    ]
    rounded = (*classifier.idf, *classifier.means, *(w for axis in classifier.components for w in axis))
    assert all(float(f"{number:.7g}") == number for number in rounded), "seven digits, so that the event stays small"


def test_fitting_twice_gives_the_same_numbers() -> None:
    assert fit(TEXTS, policy_for()) == fit(TEXTS, policy_for())


def test_with_one_cluster_everything_is_in_cluster_0() -> None:
    classifier = fit([], policy_for(clusters=1))
    assert [ClusterModel(classifier).cluster(text) for text in TEXTS[:3] + OTHERS] == [0] * (3 + len(OTHERS))
    assert classifier.vocabulary == classifier.cuts == ()


@pytest.mark.parametrize(("clusters", "texts"), [(16, 4), (4, 2), (2, 1), (2, 0)])
def test_too_few_different_seeds_for_the_axes_are_refused_with_what_to_do(clusters: int, texts: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"there are {texts}\. Give more seeds or fewer clusters"):
        fit(TEXTS[:texts] * 3, policy_for(clusters=clusters))


def test_one_more_seed_than_axes_is_enough() -> None:
    assert len(fit(TEXTS[:5], policy_for(clusters=16)).cuts) == 4


def test_seeds_that_differ_in_nothing_a_classifier_sees_are_refused_too() -> None:
    with pytest.raises(ConfigurationError, match="Give more seeds or fewer clusters"):
        fit(["a", "A", " a", "a ", "a  a"], policy_for(clusters=16))


def test_more_texts_than_are_needed_are_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(TEXTS[0:180:3], policy_for())
    monkeypatch.setattr(cluster_fit, "MAX_TEXTS", 60)
    assert fit(TEXTS[:180], policy_for()) == whole


# -- refits --------------------------------------------------------------------------------------------------------


DOUBLING = policy_for(refit_from=256, refit_growth=2)


def refit_due(policy: Policy, kept_total: int, fits: int) -> bool:
    needed = next_refit(policy, fits)
    return needed is not None and kept_total >= needed


@pytest.mark.parametrize(
    ("policy", "marks"),
    [
        (DOUBLING, [256, 512, 1024, 2048, 4096, 8192]),
        (policy_for(refit_from=7, refit_growth=1.1), [7, 8, 9, 10, 11, 12, 13]),
    ],
)
def test_refit_marks_are_the_first_and_each_growth(policy: Policy, marks: list[int]) -> None:
    fits, at = 0, []
    for kept_total in range(9000):
        if refit_due(policy, kept_total, fits):
            fits = marks_passed(policy, kept_total)
            at.append(kept_total)
    assert at[: len(marks)] == marks


@pytest.mark.parametrize(
    ("kept_total", "passed"), [(0, 0), (255, 0), (256, 1), (511, 1), (512, 2), (1023, 2), (1024, 3), (26_000, 7)]
)
def test_marks_passed_say_how_many_refits_there_could_have_been(kept_total: int, passed: int) -> None:
    assert marks_passed(DOUBLING, kept_total) == passed
    assert not refit_due(DOUBLING, kept_total, passed)
    assert passed == 0 or refit_due(DOUBLING, kept_total, passed - 1)


def test_a_generation_that_jumps_two_marks_makes_one_refit_due() -> None:
    assert refit_due(DOUBLING, 600, 0) and marks_passed(DOUBLING, 600) == 2
    assert not refit_due(DOUBLING, 1023, 2) and refit_due(DOUBLING, 1024, 2)


def test_no_refit_is_due_before_there_are_more_instructions_than_axes() -> None:
    policy = policy_for(clusters=16, refit_from=1)
    assert [kept_total for kept_total in range(8) if refit_due(policy, kept_total, 0)] == [5, 6, 7]


def test_the_literal_classifier_and_a_single_cluster_are_never_refitted() -> None:
    assert not refit_due(policy_for(classifier="literal"), 10**6, 0)
    assert not refit_due(policy_for(clusters=1), 10**6, 0)


# -- what it is for ------------------------------------------------------------------------------------------------


def usable_shares(
    policy: Policy, seeds: Sequence[SeedTask], texts: Sequence[str], at: Sequence[int]
) -> tuple[float, ...]:
    """The share of the first so many texts, met in this order, that strict batches of one of each cluster can use."""
    model = ClusterModel(fit([seed.instruction for seed in seeds], policy))
    sizes, fits, found = [0] * policy.clusters, 0, []
    for count, text in enumerate(texts, start=1):
        sizes[model.cluster(text)] += 1
        if refit_due(policy, count, fits):
            model = ClusterModel(fit(texts[:count], policy, sizes))
            fits = marks_passed(policy, count)
        if count in at:
            found.append(policy.clusters * min(sizes) / count)
    return tuple(found)


def test_the_default_lets_strict_batches_use_most_rows_from_the_first_hundreds_on(
    classic_seeds: tuple[SeedTask, ...], classic_instructions: list[str]
) -> None:
    at = (256, 1_000, len(classic_instructions))
    default, nested, literal = (
        usable_shares(policy, classic_seeds, classic_instructions, at)
        for policy in (
            policy_for(),
            policy_for(classifier="nested", refit_from=256, refit_growth=2),
            policy_for(classifier="literal"),
        )
    )
    shares = f"usable by strict batches of 16 at {at}: {default} balanced, {nested} nested, {literal} literal"
    assert default[0] >= 0.7 and default[1] >= 0.9 and default[2] >= 0.9, shares
    assert nested[0] < 0.3 and nested[2] >= 0.75, shares
    assert max(literal) < 0.25, shares
