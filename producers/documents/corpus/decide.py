"""A text that was found in a file to the events of its documents: used, or dropped with a reason."""

from collections.abc import Iterator
from dataclasses import dataclass

from producers.documents.corpus.cleaning import cleaned
from producers.documents.corpus.duplicates import DuplicateIndex
from producers.documents.corpus.language import FoundLanguage, LanguageFinder
from producers.documents.corpus.measured_text import MeasuredText
from producers.documents.corpus.parts import parts
from producers.documents.corpus.quality import ANY_LANGUAGE, Dropped, QualityLimits, dropped_by_form
from producers.documents.corpus.readers.found import FoundText
from schemas import ids
from schemas.documents import DocumentRead


@dataclass(frozen=True)
class FoundPart:
    """A document, or a part of a long one, before it is decided on.

    start      of the part in the cleaned text, in characters
    verdict    what is known without looking at the text
    """

    found: FoundText
    start: int
    text: str
    verdict: Dropped | None = None

    @property
    def id(self) -> str:
        return ids.document_id(self.found.source, self.found.place, self.start, self.found.sha256)


def parts_of(found: FoundText, limits: QualityLimits) -> Iterator[FoundPart]:
    """The documents that a text becomes: one, and several if it is long."""
    if found.wrong:
        yield FoundPart(found, 0, "", Dropped("unreadable"))
        return
    characters = found.characters or len(found.text)
    if characters > limits.max_characters:
        yield FoundPart(found, 0, "", Dropped("too_long", characters, limits.max_characters))
        return
    for start, text in parts(cleaned(found.text)):
        yield FoundPart(found, start, text)


class DocumentDecider:
    """Decides on documents one after the other: each is compared with those used before."""

    def __init__(self, limits: QualityLimits, licence: str | None = None) -> None:
        self.limits = limits
        self._licence = licence
        self._languages = LanguageFinder(limits.language)
        self._index = DuplicateIndex(limits.near_duplicate)

    def used(self, id: str, text: str) -> None:
        """Take note of a document that is used."""
        self._index.add(id, MeasuredText(text))

    def decide(self, part: FoundPart) -> DocumentRead:
        """The document's event. One that is used counts from here on."""
        text = MeasuredText(part.text)
        language: FoundLanguage | None = None
        dropped = part.verdict or dropped_by_form(text, self.limits) or self._index.duplicate(text)
        if dropped is None:
            language = self._languages.find(part.text)
            dropped = self._by_language(language) or self._index.near_duplicate(text)
        if dropped is None:
            self._index.add(part.id, text)
        found = part.found
        return DocumentRead(
            source=found.source,
            place=found.place,
            start=part.start,
            format=found.format,
            sha256=found.sha256,
            characters=found.characters or len(part.text or found.text),
            language=None if language is None else language.language,
            probability=None if language is None else language.probability,
            title=cleaned(found.title),
            licence=found.licence if found.licence is not None else self._licence,
            dropped=None if dropped is None else dropped.reason,
            value=None if dropped is None else dropped.value,
            limit=None if dropped is None else dropped.limit,
            nearest_id=None if dropped is None else dropped.nearest_id,
            text=part.text if dropped is None else "",
        )

    def _by_language(self, found: FoundLanguage) -> Dropped | None:
        least = self.limits.min_language_probability
        if self.limits.language == ANY_LANGUAGE or found.of_wanted >= least:
            return None
        return Dropped("language", found.of_wanted, least)
