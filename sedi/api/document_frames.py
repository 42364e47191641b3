"""The documents of a run's corpus as a polars data frame."""

from collections import Counter
from collections.abc import Iterator

import polars as pl

from consumers.export.decided import DecidedReading, extent
from consumers.folds.deduplicate import Deduplicator, records
from consumers.folds.documents import TOPIC, read_withdrawals
from infra.log.source import Source
from schemas.documents import DocumentRead
from sedi.api.columns import DOCUMENTS
from sedi.api.frames import Row, framed, row_of


def documents_frame(source: Source) -> pl.DataFrame:
    """A row for each document, in the order read, with the number of kept rows that were made from it."""
    kept, withdrawn, deduplicator = _kept(source), read_withdrawals(source).offsets, Deduplicator()

    def rows() -> Iterator[Row]:
        with source.open([TOPIC]) as reading:
            for record in records(reading, TOPIC):
                event = record.event
                if not isinstance(event, DocumentRead) or not deduplicator.first(event, record.id):
                    continue
                own = {"id": record.id, "withdrawn": record.id in withdrawn, "kept": kept[record.id]}
                yield row_of(DOCUMENTS, event, **own)

    return framed(DOCUMENTS, rows())


def _kept(source: Source) -> Counter[str]:
    """Kept rows by the document that they were made from."""
    through = extent(source, None).through
    found: Counter[str] = Counter()
    with source.open(DecidedReading.topics) as reading:
        for decided in DecidedReading(reading, through):
            segment = None if decided.generation is None else decided.generation.segment
            if segment is not None:
                found[segment.document_id] += len(decided.rows)
    return found
