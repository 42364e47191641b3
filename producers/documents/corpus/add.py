"""Reads files, and writes each document that is not on the log yet.

The events depend on the files, their order and the log alone. So a second start after a kill, with the same files,
gives the log of an undisturbed run: what is there is read back, and the rest is decided as it would have been.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from infra.cluster.topics import apply
from infra.log.run import read_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter, Pending
from infra.settings import Settings
from producers.documents.corpus.decide import DocumentDecider, FoundPart, parts_of
from producers.documents.corpus.files import CorpusFile, CorpusFiles
from producers.documents.corpus.known import documents_on_log
from producers.documents.corpus.quality import QualityLimits
from producers.documents.corpus.readers import ReadOptions, read_file
from schemas import ids
from schemas.documents import DocumentRead, DropReason

CLIENT = "corpus"
"""The component that writes the events of a corpus."""

_UNCONFIRMED = 1_000  # writes that are under way at a time


@dataclass(frozen=True)
class CorpusOptions:
    """What is read into a run, and what of it is used.

    files         in this order
    text_column   of JSON and Parquet; None: the first of the usual names
    licence       of documents that name none
    """

    run: str
    files: CorpusFiles
    text_column: str | None = None
    licence: str | None = None
    limits: QualityLimits = field(default_factory=QualityLimits)


@dataclass(frozen=True)
class CorpusSummary:
    """What one start has read and written.

    skipped      files of the folders that were not read: hidden, or with an ending that is not known
    closed       folders that could not be listed
    read         documents, parts of long ones counted each
    known        of these, on the log before
    kept         written, and used
    dropped      written, and not used, by reason
    characters   of those kept
    complete     whether all files were read
    """

    run: str
    files: int
    skipped: int
    closed: int
    read: int
    known: int
    kept: int
    dropped: dict[DropReason, int]
    characters: int
    seconds: float
    documents_per_s: float
    complete: bool


def add_corpus(
    options: CorpusOptions,
    settings: Settings,
    *,
    stop: Callable[[], bool] = lambda: False,
    on_read: Callable[[int], None] = lambda _: None,
    notify: Callable[[str], None] = lambda _: None,
) -> CorpusSummary:
    """Add documents to a run that is there.

    stop      asked before each document; True ends the work, and what was read so far is on the log
    on_read   told of how many more documents were read
    notify    told what is wrong with folders and documents that cannot be read

    Raises ConfigurationError for options that cannot be, RunError without the run, BrokerError when the
    cluster does not take the events.
    """
    began = time.monotonic()
    files = options.files
    decider = DocumentDecider(options.limits, options.licence)
    configured, _ = read_run(settings, options.run)
    apply(settings, options.run, configured.policy.clusters)  # the run may be from before there were documents
    for closed in files.closed:
        notify(closed)
    known = _rebuilt(decider, settings, options.run)
    counts: Counter[str] = Counter()
    dropped: Counter[DropReason] = Counter()
    complete = True
    with _DocumentWriter(settings, options.run) as log:
        for part in _found(files.files, options):
            if stop():
                complete = False
                break
            counts["read"] += 1
            on_read(1)
            key = _compact(part.id)
            if key in known:
                counts["known"] += 1
                continue
            known.add(key)
            event = decider.decide(part)
            if part.found.wrong:
                notify(f"{part.found.source}, place {part.found.place}: {part.found.wrong}")
            log.write(event, part.id)
            if event.dropped is None:
                counts["kept"] += 1
                counts["characters"] += event.characters
            else:
                dropped[event.dropped] += 1
    seconds = time.monotonic() - began
    return CorpusSummary(
        run=options.run,
        files=len(files.files),
        skipped=files.skipped,
        closed=len(files.closed),
        read=counts["read"],
        known=counts["known"],
        kept=counts["kept"],
        dropped=dict(sorted(dropped.items())),
        characters=counts["characters"],
        seconds=seconds,
        documents_per_s=counts["read"] / seconds,
        complete=complete,
    )


def _found(files: Iterable[CorpusFile], options: CorpusOptions) -> Iterator[FoundPart]:
    reading = ReadOptions(options.text_column, options.limits.max_characters)
    for file in files:
        for found in read_file(file, reading):
            yield from parts_of(found, options.limits)


def _rebuilt(decider: DocumentDecider, settings: Settings, run: str) -> set[bytes]:
    """The ids on the log; the decider takes note of the documents that are used.

    Withdrawn ones count, too: a copy of one must not come in again under another name.
    """
    known: set[bytes] = set()
    for id, event in documents_on_log(KafkaSource(settings, run)):
        known.add(_compact(id))
        if event.dropped is None:
            decider.used(id, event.text)
    return known


def _compact(id: str) -> bytes:
    """An id in 16 bytes: there are as many as documents."""
    return bytes.fromhex(id.replace("-", ""))


class _DocumentWriter:
    """Writes documents in their order without waiting for each; all are confirmed when it is closed."""

    def __init__(self, settings: Settings, run: str) -> None:
        self._log = LogWriter(settings, run, CLIENT)
        self._cause = ids.run_id(run)
        self._pending: deque[Pending] = deque()

    def __enter__(self) -> "_DocumentWriter":
        return self

    def write(self, event: DocumentRead, id: str) -> None:
        self._pending.append(self._log.send(event, key=id, id=id, causation_id=self._cause))
        while len(self._pending) > _UNCONFIRMED:
            self._log.wait(self._pending.popleft())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._pending and kind is None:
                self._log.wait(self._pending.popleft())
        finally:
            self._log.close()
