"""Everything that came from a document, a seed, a request, a generation, an instruction or a model (`derivation` says
how).

A row that is merely similar, or was trained in the same batch, did not come from it. Nothing is changed.
"""

from collections import Counter
from functools import partial

from consumers.explain.derivation import DerivationSearch, read_graph
from consumers.explain.document_story import events_about
from consumers.explain.history import TopicRecords
from consumers.explain.locate import locate
from consumers.explain.withdrawal_schema import (
    SearchedDocument,
    Withdrawal,
    WithdrawalLink,
    WithdrawalTotals,
    WithdrawnGeneration,
    WithdrawnRow,
    WithdrawnSeed,
    WithdrawnStep,
)
from consumers.folds.deduplicate import Deduplicator, ReadProgress, first_events, no_progress, records
from infra.log.source import Source
from schemas.documents import DocumentRead
from schemas.errors import RunError
from schemas.events import InstructionKept, TrainingLogged

TOPICS = ("run", "documents", "generated", "kept", "rejected", "training-log", "seed-commands")
TEXT_SHOWN = 80

_TrainedIn = dict[str, list[tuple[int, int]]]  # (epoch, step) by row


def withdraw(
    source: Source, *, id: str | None = None, model: str | None = None, progress: ReadProgress = no_progress
) -> Withdrawal:
    """Everything that came from the thing with `id` (or an id that starts so), or from `model`; give one of them.

    Memory grows with what is found, and by some 300 bytes a generation. Raises RunError when there is no such run,
    thing or model.
    """
    subject = None if id is None else locate(source, id, progress)
    with source.open(TOPICS) as reading:
        read = partial(records, reading, progress=progress)
        deduplicator = Deduplicator()
        graph = read_graph(source, read, deduplicator)
        search = DerivationSearch(graph)
        if subject is not None:
            search.start_at(subject)
        elif str(model) in graph.models:
            search.start_with_model(str(model))
        else:
            raise RunError(
                f"No generation of {source.name} was made by the model {model!r}. It has used: "
                f"{', '.join(sorted(graph.models)) or 'none'}."
            )
        search.spread()
        of_document = subject if subject is not None and "document" in subject.kinds else None
        document = None if of_document is None else _document(read, of_document.id)
        kept = _kept(read, deduplicator, search)
        steps, trained = _trained(read, deduplicator, {row.id for row in kept})
    rows = tuple(_row(row, trained, search) for row in kept)
    seeds = tuple(_seed(link, search) for link in search.came_from if link.kind == "seed")
    generations = tuple(_generation(link, search) for link in search.came_from if link.kind == "generation")
    instructions = sum(len(places) for places in search.places.values())
    rejected = sum(len(places.keys() & graph.rejected.get(offset, ())) for offset, places in search.places.items())
    return Withdrawal(
        run=source.run,
        id=None if subject is None else subject.id,
        model=model,
        totals=WithdrawalTotals(
            seeds=len(seeds),
            generations=len(generations),
            instructions=instructions,
            kept=len(rows),
            rejected=rejected,
            undecided=instructions - len(rows) - rejected,
            trained=len(trained),
            steps=len(steps),
            clusters=dict(sorted(Counter(row.cluster for row in rows).items())),
        ),
        seeds=seeds,
        generations=generations,
        rows=rows,
        steps=tuple(steps),
        document=document,
    )


def _document(read: TopicRecords, id: str) -> SearchedDocument | None:
    document = withdrawn = None
    for record, event in events_about(id, read):
        if isinstance(event, DocumentRead):
            document = document or event
        elif withdrawn is None:
            withdrawn = record.offset
    if document is None:
        return None
    return SearchedDocument(
        source=document.source, title=document.title, dropped=document.dropped, withdrawn_offset=withdrawn
    )


def _kept(read: TopicRecords, deduplicator: Deduplicator, search: DerivationSearch) -> list[InstructionKept]:
    """The kept rows of the found instructions, in total order."""
    kept = [
        row
        for record in read("kept")
        if isinstance(row := record.event, InstructionKept)
        and deduplicator.kept(row.generated_offset, row.place, record.partition)
        and row.place in search.places.get(row.generated_offset, {})
    ]
    return sorted(kept, key=lambda row: (row.generated_offset, row.place))


def _trained(read: TopicRecords, deduplicator: Deduplicator, kept: set[str]) -> tuple[list[WithdrawnStep], _TrainedIn]:
    steps: list[WithdrawnStep] = []
    trained: _TrainedIn = {}
    for _, event in first_events(read("training-log"), TrainingLogged, deduplicator):
        for step in event.steps:
            found = [row.id for row in step.rows if row.id in kept]
            for id in found:
                trained.setdefault(id, []).append((event.epoch, step.step))
            if found:
                steps.append(
                    WithdrawnStep(
                        epoch=event.epoch, window=event.window, step=step.step, rows=len(found), of=len(step.rows)
                    )
                )
    return steps, trained


def _row(row: InstructionKept, trained: _TrainedIn, search: DerivationSearch) -> WithdrawnRow:
    return WithdrawnRow(
        id=row.id,
        cluster=row.cluster,
        instruction=row.instruction[:TEXT_SHOWN],
        generated_offset=row.generated_offset,
        place=row.place,
        steps=tuple(trained.get(row.id, ())),
        became_seed=WithdrawalLink(kind="seed", id=row.id) in search.came_from,
        path=search.path(WithdrawalLink(kind="instruction", id=row.id)),
    )


def _seed(link: WithdrawalLink, search: DerivationSearch) -> WithdrawnSeed:
    pool = search.graph.pool
    task = pool.get(link.id)
    return WithdrawnSeed(
        id=link.id,
        instruction="" if task is None else task.instruction,
        active=any(seed.task.id == link.id for seed in pool.active),
        path=search.path(link),
    )


def _generation(link: WithdrawalLink, search: DerivationSearch) -> WithdrawnGeneration:
    generation = search.graph.generations[search.graph.offsets[link.id]]
    return WithdrawnGeneration(
        id=generation.id,
        offset=generation.offset,
        model=generation.model,
        instructions=len(search.places.get(generation.offset, ())),
        path=search.path(link),
    )
