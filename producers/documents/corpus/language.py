"""Which language a text is in, by py3langid, from up to three places of it."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from producers.documents.corpus.quality import ANY_LANGUAGE
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_SAMPLE = 250  # characters a place


@dataclass(frozen=True)
class FoundLanguage:
    """The likeliest language, its probability, and that of the wanted one."""

    language: str
    probability: float
    of_wanted: float


class LanguageFinder:
    """Finds languages. Raises ConfigurationError for a wanted one that the model does not know."""

    def __init__(self, wanted: str = ANY_LANGUAGE) -> None:
        self._identifier = _identifier()
        self._wanted = wanted
        known = sorted(str(name) for name in self._identifier.nb_classes)
        if wanted != ANY_LANGUAGE and wanted not in known:
            raise ConfigurationError(
                f"--language {wanted!r} is not known. Give {ANY_LANGUAGE!r} or one of {', '.join(known)}."
            )

    def find(self, text: str) -> FoundLanguage:
        """The language of the text's beginning, middle and end."""
        shown = sample(text)
        language, probability = self._identifier.classify(shown)
        if self._wanted in (ANY_LANGUAGE, language):
            of_wanted = float(probability)
        else:
            of_wanted = float(dict(self._identifier.rank(shown))[self._wanted])
        return FoundLanguage(str(language), _share(float(probability)), _share(of_wanted))


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def sample(text: str) -> str:
    """What is looked at: all of a short text, else its beginning, middle and end."""
    if len(text) <= 3 * _SAMPLE:
        return text
    middle = (len(text) - _SAMPLE) // 2
    return "\n".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))


def _share(probability: float) -> float:
    """To six digits: the last ones differ between machines."""
    return round(min(1.0, max(0.0, probability)), 6)
