"""Clusters of sentence embeddings: a function of the numbers and the model, for one text alone or among others."""

import copy
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from schemas.errors import ConfigurationError
from schemas.events import Classifier
from schemas.policy import policy_for
from streams.core import decider
from streams.core.cluster_fit import fit
from streams.core.clusters import ClusterModel
from streams.core.embeddings import UNIT
from tests.harness.embedder import LETTERS, Letters
from tests.unit.core.conftest import Fold, configured, generation, own_seeds

TEXTS = [seed.instruction for seed in own_seeds()]
UNSEEN = ["", "Zebras quiz a jazzy fox", "東京", "e" * 500]
POLICY = policy_for(vectorizer="embeddings")
LETTER_COUNTS = Letters()


def fitted(classifier: str = "balanced") -> Classifier:
    return fit(TEXTS, policy_for(vectorizer="embeddings", classifier=classifier), embedder=LETTER_COUNTS)


def test_a_classifier_of_embeddings_names_its_model_and_has_no_n_grams() -> None:
    classifier = fitted()
    assert (classifier.vectorizer, classifier.model_sha256) == ("embeddings", LETTER_COUNTS.model_sha256)
    assert classifier.vocabulary == classifier.idf == ()
    assert [len(axis) for axis in classifier.components] == [len(LETTERS)] * 4
    assert fit(TEXTS, policy_for()).model_sha256 is None
    assert fit(TEXTS, policy_for(), embedder=LETTER_COUNTS) == fit(TEXTS, policy_for()), "only the policy chooses"


def test_coordinates_of_embeddings_are_those_of_scikit_learn() -> None:
    model = ClusterModel(fitted(), LETTER_COUNTS)
    pca = PCA(n_components=4, svd_solver="arpack", random_state=0).fit(LETTER_COUNTS(TEXTS))
    theirs = pca.transform(LETTER_COUNTS(TEXTS + UNSEEN))
    ours = np.array([model.coordinates(text) for text in TEXTS + UNSEEN])
    assert np.abs(theirs - ours).max() < 1e-6


def test_a_text_has_the_very_same_place_alone_and_among_others() -> None:
    model = ClusterModel(fitted(), LETTER_COUNTS)
    assert model.coordinates_of(LETTER_COUNTS(TEXTS + UNSEEN)) == [model.coordinates(text) for text in TEXTS + UNSEEN]


@pytest.mark.parametrize("classifier", ["nested", "balanced"])
def test_cells_of_embeddings_are_equal_on_what_was_fitted(classifier: str) -> None:
    model = ClusterModel(fitted(classifier), LETTER_COUNTS)
    sizes = np.bincount([model.cluster(text) for text in TEXTS], minlength=16)
    assert sizes.max() - sizes.min() <= 1


def test_literal_cuts_of_embeddings_are_at_zero_and_classifiers_differ_in_their_cuts_only() -> None:
    literal = fitted("literal")
    assert literal.cuts == tuple((0.0,) * 2**axis for axis in range(4))
    for other in (fitted("nested"), fitted("balanced")):
        assert msgspec.structs.replace(other, cuts=literal.cuts) == literal != other


def test_what_balanced_clusters_have_already_counts_for_embeddings_too() -> None:
    policy = policy_for(clusters=2, vectorizer="embeddings", refit_from=40, refit_growth=2)
    model = ClusterModel(fit(TEXTS, policy, (40, 0), LETTER_COUNTS), LETTER_COUNTS)
    assert {model.cluster(text) for text in TEXTS} == {1}


def test_a_processor_with_other_last_digits_fits_and_decides_the_same() -> None:
    other = Letters(error=4e-16)
    classifier = fitted()
    assert fit(TEXTS, POLICY, embedder=other) == classifier
    ours, theirs = ClusterModel(classifier, LETTER_COUNTS), ClusterModel(classifier, other)
    assert [ours.coordinates(text) for text in TEXTS] == [theirs.coordinates(text) for text in TEXTS]


def test_a_model_goes_along_when_it_is_copied() -> None:
    model = ClusterModel(fitted(), LETTER_COUNTS)
    assert copy.deepcopy(model).cluster(TEXTS[0]) == model.cluster(TEXTS[0])


def test_another_models_embeddings_are_refused_with_both_hashes() -> None:
    other = Letters(model_sha256="cd" * 32)
    with pytest.raises(ConfigurationError, match=f"SHA-256 {'ab' * 32}; the installed one has {'cd' * 32}"):
        ClusterModel(fitted(), other)


def test_without_an_embedder_nothing_is_fitted_or_applied() -> None:
    with pytest.raises(ValueError, match="needs an embedder"):
        fit(TEXTS, POLICY)
    with pytest.raises(ValueError, match="needs an embedder"):
        ClusterModel(fitted())


def test_seeds_that_mean_the_same_are_refused_with_what_to_do() -> None:
    anagrams = ["listen", "silent", "enlist", "tinsel", "inlets", "Listen"]
    with pytest.raises(ConfigurationError, match=r"there are 1\. Give more seeds or fewer clusters"):
        fit(anagrams, POLICY, embedder=LETTER_COUNTS)


def test_with_one_cluster_there_is_nothing_to_embed() -> None:
    classifier = fit([], policy_for(vectorizer="embeddings", clusters=1))
    assert ClusterModel(classifier).cluster("anything") == 0


@dataclass
class Counted:
    """Letters that record their calls."""

    model_sha256: str = "ab" * 32
    calls: list[str] = field(default_factory=list)

    def __call__(self, texts: list[str]) -> NDArray[np.float64]:
        self.calls += texts
        return LETTER_COUNTS(texts)


def test_a_run_embeds_what_it_keeps_and_refits_on_it() -> None:
    policy = policy_for(vectorizer="embeddings", clusters=4, refit_from=8, refit_growth=2)
    embedder = Counted()
    run = configured(policy, own_seeds()[:12])
    state = decider.initial_state(run, embedder)
    decider.use_classifier(state, decider.first_classifier(policy, run.seeds, embedder))
    embedder.calls.clear()
    fold = Fold(state)
    fold.take(generation(0, [*TEXTS[12:24], TEXTS[12], "Draw it"]))
    kept = [row.instruction for row in state.kept.values()]
    assert len(kept) >= 8 and TEXTS[12] in kept
    assert embedder.calls == kept * 2, "one by one for their clusters, then for the refit; none that is rejected"
    (refit,) = fold.classifiers
    assert refit.classifier == fit(
        kept, policy, np.bincount([row.cluster for row in state.kept.values()]).tolist(), embedder
    )
    assert state.model is not None and state.model.cluster(kept[0]) == ClusterModel(refit.classifier, embedder).cluster(
        kept[0]
    )


def test_embeddings_are_whole_units() -> None:
    assert (np.rint(LETTER_COUNTS(TEXTS) / UNIT) * UNIT == LETTER_COUNTS(TEXTS)).all()
