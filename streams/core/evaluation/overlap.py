"""ROUGE-L of an answer with references, as the evaluation of Super-NaturalInstructions takes it.

Tokens are rouge_score's with its Porter stemmer. The best reference counts. Scores are bit-identical to rouge_score
0.1.2 (`rougeL`, `use_stemmer=True`), and some hundred times faster: a word is stemmed once, and the common subsequence
is rapidfuzz's.

As in rouge_score, only ASCII letters and digits are in tokens: a reference in another script, or of punctuation alone,
is overlapped by no answer. `has_tokens` finds these.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from streams.core.similarity.rouge import tokens_fmeasure
from streams.core.similarity.tokenize import rouge_tokens

_SHORT = 3  # words of so many letters are not stemmed
_WORDS = 200_000  # remembered with their stems


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """The largest ROUGE-L F of the answer with a reference, 0 to 1; 0 without references."""
    tokens = stemmed_tokens(answer)
    return max((tokens_fmeasure(stemmed_tokens(reference), tokens) for reference in references), default=0.0)


def has_tokens(text: str) -> bool:
    """Whether ROUGE-L sees anything of a text."""
    return bool(rouge_tokens(text))


def stemmed_tokens(text: str) -> list[str]:
    """The tokens of rouge_score 0.1.2 with its stemmer."""
    return [stem(token) if len(token) > _SHORT else token for token in rouge_tokens(text)]


@lru_cache(maxsize=_WORDS)
def stem(word: str) -> str:
    """The stem of a word by nltk's Porter stemmer, in lower case."""
    return str(_porter().stem(word))


@cache
def _porter() -> Any:
    from nltk.stem.porter import PorterStemmer  # some second to import

    return PorterStemmer()
