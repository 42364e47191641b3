"""METEOR of an answer with references, by nltk with its parameters (alpha 0.9, beta 3, gamma 0.5).

Words match exactly, by stem, and as synonyms of WordNet, which is data of its own: nltk looks for it in its data
folders (`NLTK_DATA`). Without it, or where it is damaged, words match exactly and by stem, which gives other scores; so
each score names how words matched. Tokens are those of nltk's `wordpunct_tokenize`, which needs no data: runs of
letters and digits of any script, and runs of other characters.
"""

from collections.abc import Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from streams.core.evaluation.overlap import stem

_WORDS = 200_000  # remembered with their synonyms
_STEMMER = SimpleNamespace(stem=stem)


class MeteorScorer:
    """METEOR with what is found on this machine. `matching`: how words match, for people."""

    def __init__(self) -> None:
        from nltk.tokenize import wordpunct_tokenize
        from nltk.translate.meteor_score import meteor_score

        found, self.matching = _wordnet()
        synsets = (lambda word: ()) if found is None else lru_cache(maxsize=_WORDS)(found.synsets)
        self._wordnet = SimpleNamespace(synsets=synsets)  # what nltk's METEOR asks WordNet for
        self._tokens, self._meteor = wordpunct_tokenize, meteor_score

    def score(self, answer: str, references: Sequence[str]) -> float:
        """The largest METEOR of the answer with a reference, 0 to 1; 0 without references."""
        if not references:
            return 0.0
        tokens = [self._tokens(text) for text in (answer, *references)]
        return float(self._meteor(tokens[1:], tokens[0], stemmer=_STEMMER, wordnet=self._wordnet))


def _wordnet() -> tuple[Any, str]:
    """nltk's reader of WordNet, None if its data are not there or damaged; and how words match."""
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return None, "exact, stem"
    except (OSError, ValueError) as error:
        return None, f"exact, stem (WordNet in nltk's data folder cannot be read: {error})"
    return wordnet, f"exact, stem, synonym (WordNet {wordnet.get_version()})"
