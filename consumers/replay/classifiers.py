"""Classifiers in an audit: each is due at a number of kept instructions, and fitting it again gives equal numbers."""

from collections.abc import Callable, Iterable, Iterator
from math import isclose

import msgspec

from consumers.replay.digests import Digests, classifier_content
from consumers.replay.effect_stream import EffectStream
from consumers.replay.findings import Findings
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas.events import Classifier, ClassifierFitted, Event, InstructionsReleased, RunConfigured
from streams.core import decider
from streams.core.decider import FilterState

_encode = msgspec.json.Encoder().encode


class Classifiers:
    """The classifiers on the log, by the offset of `generated` from which each is in force."""

    def __init__(
        self, configured: RunConfigured, recorded: Iterable[ClassifierFitted], findings: Findings, digests: Digests
    ) -> None:
        self.count = 0
        self._configured = configured
        self._recorded = {event.from_offset: event for event in recorded}
        self._findings = findings
        self._digests = digests
        self._offsets: dict[int, int] = {}

    def read(self, run: EffectStream, on_record: Callable[[Record], None]) -> None:
        """Read `run` to its end, for the offset of each classifier, repeats and unreadable records.

        `on_record` gets every readable record that is no repeat.
        """
        repeats = RepeatCheck(self._findings)
        while (record := run.take()) is not None:
            event = record.event
            if event is None:
                self._findings.cannot_read(record, str(record.error))
            elif repeats.fresh(record, event, _content(event)):
                if isinstance(event, ClassifierFitted):
                    self._offsets[event.from_offset] = record.offset
                on_record(record)

    def check(self, offset: int, state: FilterState) -> None:
        """Compare the classifier due before an offset with the recorded one, and use the recorded one."""
        recorded = self._recorded.get(offset)
        due = self._due(offset, state)
        if recorded is None and due is None:
            return
        self.count += 1
        if recorded is None or due is None:
            what = "is none on the log, but one is due" if recorded is None else "is one on the log, but none is due"
            self._report(offset, f"For offset {offset} of generated there {what}.")
        elif not _close(recorded, due):
            what = f"The classifier for offset {offset} of generated is not the one that {due.texts} texts give."
            self._report(offset, what)
        self._use(recorded or due, state)

    def use(self, offset: int, state: FilterState) -> None:
        """Use the recorded classifier for an offset, or the one due where that is missing."""
        self._use(self._recorded.get(offset) or self._due(offset, state), state)

    def _due(self, offset: int, state: FilterState) -> ClassifierFitted | None:
        if offset == 0:
            return decider.first_classifier(self._configured.policy, self._configured.seeds, state.embedder)
        return decider.due_classifier(state)

    def _use(self, classifier: ClassifierFitted | None, state: FilterState) -> None:
        if classifier is not None:
            self._digests.add("run", classifier_content(classifier))
            decider.use_classifier(state, classifier)

    def _report(self, offset: int, what: str) -> None:
        self._findings.misdecided("classifier", ("run", 0, self._offsets.get(offset, -1)), offset, what)


def _content(event: Event) -> bytes:
    """The event, as far as two programs that write it at the same time write the same.

    Two may configure the run, each with its versions; and release rows, each those whose answers it has read.
    """
    if isinstance(event, InstructionsReleased):
        return b""
    return _encode((event.policy, event.seeds) if isinstance(event, RunConfigured) else event)


def _close(recorded: ClassifierFitted, decided: ClassifierFitted) -> bool:
    """Whether two fits are the same, up to the last digits, which differ between machines."""
    if recorded == decided:
        return True
    one, other = recorded.classifier, decided.classifier
    if any(
        getattr(one, name) != getattr(other, name) for name in ("ngrams", "vocabulary", "vectorizer", "model_sha256")
    ):
        return False
    if msgspec.structs.replace(recorded, classifier=other) != decided:
        return False
    pairs = zip(_numbers(one), _numbers(other), strict=True)
    return all(isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairs)


def _numbers(classifier: Classifier) -> Iterator[float]:
    yield from classifier.idf
    yield from classifier.means
    for level in (*classifier.components, *classifier.cuts):
        yield from level
