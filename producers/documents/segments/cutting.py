"""Cutting a document into segments."""

from collections.abc import Iterator

from producers.documents.segments.draws import Draws
from producers.documents.segments.options import CutOptions
from producers.documents.segments.proposals import IsFree, Proposal, Spans, WordBounds
from producers.documents.segments.runs import random_runs, whole
from producers.documents.segments.salient import salient
from producers.documents.segments.sentences import Outline, outline
from producers.documents.segments.structural import structural
from producers.documents.segments.words import count_words
from schemas.ids import segment_id
from schemas.segments import ALL_STRATEGIES, Segment, Strategy
from streams.core.documents.spans import segment_text

_FILLING: tuple[Strategy, ...] = ("random", "salient")


def cut(document_id: str, documents_offset: int, text: str, options: CutOptions, rng_seed: int) -> tuple[Segment, ...]:
    """The segments of a document, in the order in which they are to be used.

    Each is dealt to a strategy by the shares, and the strategy gives the next one that it finds in what is left. One
    that finds nothing more leaves its share to the others; but when `random` or `salient` found some and finds no more,
    the document is done: what is left are gaps, and the shares would be lost. So the first n are a fair sample, and
    `per_document` leaves them as they are. The same arguments give the same
    segments on every machine; the seed and the document's id decide the draws. Any text will do; of one without
    sentences there are no segments.
    """
    bounds = WordBounds(options.min_words, options.max_words)
    strategies = [strategy for strategy in ALL_STRATEGIES if options.shares.get(strategy)]
    page = outline(text)
    taken = {strategy: _Taken(len(text)) for strategy in strategies}
    if not options.overlap:
        taken = dict.fromkeys(strategies, _Taken(len(text)))
    found = {
        strategy: _proposals(strategy, page, bounds, Draws(rng_seed, document_id, strategy), taken[strategy].is_free)
        for strategy in strategies
    }
    deal = Draws(rng_seed, document_id, "deal")
    segments: list[Segment] = []
    while strategies and (options.per_document is None or len(segments) < options.per_document):
        strategy = strategies[deal.weighted([options.shares[strategy] for strategy in strategies])]
        proposal = next(found[strategy], None)
        if proposal is None:
            if strategy in _FILLING and any(segment.strategy == strategy for segment in segments):
                break
            strategies.remove(strategy)
            continue
        taken[strategy].take(proposal.spans)
        segments.append(
            Segment(
                id=segment_id(document_id, strategy, proposal.spans),
                document_id=document_id,
                documents_offset=documents_offset,
                number=len(segments),
                strategy=strategy,
                form=proposal.form,
                spans=proposal.spans,
                text=segment_text(text, proposal.spans),
            )
        )
    return tuple(segments)


def _proposals(strategy: Strategy, page: Outline, bounds: WordBounds, draws: Draws, free: IsFree) -> Iterator[Proposal]:
    """Those that are free when they are asked for, and within the bounds."""
    match strategy:
        case "random":
            proposals = random_runs(page, bounds, draws, free)
        case "salient":
            proposals = salient(page, bounds, draws, free)
        case "structural":
            proposals = structural(page, bounds, draws, free)
        case "whole":
            proposals = whole(page, bounds, free)
    for proposal in proposals:
        if bounds.least <= count_words(segment_text(page.text, proposal.spans)) <= bounds.most:
            yield proposal


class _Taken:
    """The characters of a text that segments have already."""

    def __init__(self, characters: int) -> None:
        self._taken = bytearray(characters)

    def is_free(self, spans: Spans) -> bool:
        return all(self._taken.find(1, start, end) < 0 for start, end in spans)

    def take(self, spans: Spans) -> None:
        for start, end in spans:
            self._taken[start:end] = b"\x01" * (end - start)
