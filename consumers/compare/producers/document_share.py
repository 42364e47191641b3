"""How much of each output stands in the document that it comes from: the share of its tokens that the document has.

A token of the output counts as often as the document has it. An output that was cut out of its document has 1; below
that, a rewrite has brought in words of its own. This says nothing of their truth.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from consumers.compare.producers.rows import ProducerRow
from infra.log.source import Source
from schemas.documents import DocumentRead
from schemas.events import InstructionsGenerated
from streams.core.similarity.tokenize import Tokenizer


def shares(source: Source, rows: Sequence[ProducerRow], tokenizer: Tokenizer) -> dict[str, float]:
    """The share of each row's output, by row id; without rows whose document is not on the log or that have no token.

    Reads `generated` and `documents` once. Memory holds the outputs of the rows, and one document.
    """
    wanted: defaultdict[int, list[ProducerRow]] = defaultdict(list)
    for row in rows:
        if row.document_id is not None:
            wanted[row.generated_offset].append(row)
    if not wanted:
        return {}
    outputs: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    found: dict[str, float] = {}
    with source.open(["generated", "documents"]) as reading:
        while (record := reading.next("generated", 0)) is not None:
            if record.offset in wanted and isinstance(event := record.event, InstructionsGenerated):
                for row in wanted[record.offset]:
                    if row.place < len(event.instructions):  # else `sedi report` finds the books out of order
                        outputs[row.document_id or ""].append((row.id, event.instructions[row.place].output))
        while (record := reading.next("documents", 0)) is not None:
            if record.id in outputs and isinstance(document := record.event, DocumentRead) and document.text:
                available = Counter(tokenizer(document.text))
                for id, output in outputs.pop(record.id):
                    if tokens := Counter(tokenizer(output)):
                        found[id] = (tokens & available).total() / tokens.total()
    return found
