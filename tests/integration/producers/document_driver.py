"""Documents on a run's log, and recorded candidates for their segments."""

from collections.abc import Iterable

from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.documents.options import DocumentsInUse
from producers.documents.scoring.options import ScorerOptions
from producers.documents.segments import CutOptions
from schemas import ids
from schemas.documents import DocumentRead, DocumentWithdrawn
from tests.unit.consumers.document_events import document_event, id_of

CANDIDATES = 3
THINGS = ("kettle", "bridge", "violin", "harbour", "lantern", "glacier", "orchard", "engine", "mirror", "compass")
VERBS = ("measured", "painted", "carried", "repaired", "counted", "covered", "cleaned", "opened", "described", "moved")


def document(number: int, sentences: int = 12) -> DocumentRead:
    """A document of sentences that no other has; every fifth is dropped."""
    text = " ".join(
        f"In the year {1000 + number * 50 + place} a {THINGS[(number + place) % 10]} near the river was "
        f"{VERBS[(3 * number + place) % 10]} by the children of the village."
        for place in range(sentences)
    )
    dropped = "stub" if number % 5 == 4 else None
    return document_event(f"{number}.txt", text, probability=1.0, dropped=dropped)


def add(settings: Settings, run: str, numbers: Iterable[int]) -> None:
    """Write documents to the log."""
    with LogWriter(settings, run, "corpus") as writer:
        for each in map(document, numbers):
            writer.write(each, key=id_of(each), id=id_of(each), causation_id=ids.run_id(run))


def withdraw(settings: Settings, run: str, number: int) -> None:
    id = id_of(document(number))
    with LogWriter(settings, run, "corpus") as writer:
        event = DocumentWithdrawn(document_id=id, reason="asked for")
        writer.write(event, key=id, id=ids.withdrawn_id(id), causation_id=id)


def candidate(line: int) -> str:
    """The line-th recorded answer: an instruction; every seventh holds none."""
    thing, verb = THINGS[line % 10], VERBS[(line // 10 + line) % 10]
    return "" if line % 7 == 6 else f"Tell in your own words how a {thing} came to be {verb}, number {line * line}."


def documents_in_use(model: str, **more: object) -> DocumentsInUse:
    """Short segments, scored by the model in a folder."""
    cut = CutOptions({"random": 1.0, "salient": 1.0}, 15, 60, per_document=4)
    scorer = ScorerOptions(model=model, precision="fp32", device="cpu", threads=1)
    return DocumentsInUse(**{"cut": cut, "scorer": scorer, "candidates": CANDIDATES, **more})  # type: ignore[arg-type]
