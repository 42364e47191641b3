"""Lists and steps."""

import re
from collections.abc import Iterator, Sequence

from producers.documents.segments.blocks import Block
from producers.documents.segments.plain import dangles, is_clean, starts_well
from producers.documents.segments.proposals import Proposal, WordBounds, grown, last_fitting, spans_of
from producers.documents.segments.sentences import Outline, sentence_spans
from producers.documents.segments.words import count_words
from schemas.segments import SegmentForm

_FEWEST_ITEMS = 3
_LONGEST_LEAD = 50  # words
_INLINE = re.compile(r"[(\s](?:\d|[a-h]|[ivx]{1,4})\)\s")
_ORDINAL = re.compile(r"\W*(first|second|third|fourth|then|next|finally|last)(?:ly)?\b,?", re.IGNORECASE)
_STEPS_LEAD = re.compile(
    r"\bsteps?\b|how to\b|follow|instruction|direction|procedure|method|recipe|process|guide", re.IGNORECASE
)
_IMPERATIVE = re.compile(
    r"(?:add|apply|ask|attach|bake|begin|boil|bring|build|call|check|choose|clean|close|combine|connect|continue|cook"
    r"|cover|create|cut|dip|download|drain|draw|enter|fill|find|fold|get|give|go|heat|hold|insert|install|keep|let"
    r"|look|make|measure|mix|move|open|paste|peel|place|pour|press|pull|push|put|read|remove|repeat|rinse|roll|run"
    r"|save|select|serve|set|shake|simmer|slice|sprinkle|start|stir|take|tap|test|tie|try|turn|type|use|wait|wash"
    r"|whisk|wipe|write)\b",
    re.IGNORECASE,
)


def lists(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """Lists in lines, with the sentence that leads in; those that are too long end after an item that still fits."""
    place = 0
    while place < len(outline.blocks):
        end = _list_end(outline, place)
        if end - place >= _FEWEST_ITEMS or (end - place == 2 and _lead(outline, place) is not None):
            yield from _cut_list(outline, place, end, bounds)
        place = max(end, place + 1)


def enumerations(outline: Outline, bounds: WordBounds) -> Iterator[Proposal]:
    """Sentences that count: "(1) ..., (2) ..., (3) ...", and "First, ...", "Second, ...", "Finally, ..."."""
    sentences = outline.sentences
    for place, sentence in enumerate(sentences):
        text = outline.of(sentence)
        if len(set(_INLINE.findall(text))) >= _FEWEST_ITEMS and not sentence.dangling:
            parts = grown(sentences, place, place, bounds)
            if parts:
                yield Proposal(spans_of(outline, sentences[parts[0] : parts[1] + 1]), "list")
            continue
        first = _ORDINAL.match(text)
        if not first or first[1].lower() != "first" or sentence.inside:
            continue
        named, last = {"first"}, place
        for following in range(place + 1, min(place + 12, len(sentences))):
            if sentences[following].run != sentence.run:
                break
            found = _ORDINAL.match(outline.of(sentences[following]))
            if found and found[1].lower() not in named:
                named.add(found[1].lower())
                last = following
        start = place - 1 if place and sentences[place - 1].run == sentence.run else place
        while start < place and (sentences[start].dangling or sentences[start].inside):
            start += 1
        if len(named) > 1:
            parts = grown(sentences, start, last, bounds) or grown(sentences, place, last, bounds)
            form: SegmentForm = "steps" if named & {"then", "next"} else "list"
            if parts:
                yield Proposal(spans_of(outline, sentences[parts[0] : parts[1] + 1]), form)


def _list_end(outline: Outline, place: int) -> int:
    """The place after the last item of the list that starts at a block; the place itself, if none does."""
    end, number = place, 0
    kind = ""
    while end < len(outline.blocks) and outline.blocks[end].kind == "item":
        marker = outline.blocks[end].marker
        digits = "".join(filter(str.isdigit, marker))
        this = "number" if digits else "letter" if marker[-1:] in ").:" else marker
        if (kind and this != kind) or (digits and kind and int(digits) != number + 1) or not _is_item(outline, end):
            break
        kind, number = this, int(digits or 0)
        end += 1
    return end


def _is_item(outline: Outline, place: int) -> bool:
    block = outline.blocks[place]
    return is_clean(outline.of(block)[len(block.marker) :])


def _cut_list(outline: Outline, first: int, end: int, bounds: WordBounds) -> Iterator[Proposal]:
    lead = _lead(outline, first)
    starts = [outline.blocks[first].start] if lead is None else [lead, outline.blocks[first].start]
    for start in starts:
        last = last_fitting(outline, start, (block.end for block in outline.blocks[first + 1 : end]), bounds)
        if last is not None:
            items = [block for block in outline.blocks[first:end] if block.end <= last]
            yield Proposal(((start, last),), _form(outline, outline.text[start : items[0].start], items))
            return


def _form(outline: Outline, lead: str, blocks: Sequence[Block]) -> SegmentForm:
    numbered = any(character.isdigit() for character in blocks[0].marker)
    orders = sum(_IMPERATIVE.match(outline.of(block)[len(block.marker) :].lstrip()) is not None for block in blocks)
    named = blocks[0].marker.lower().startswith("step")
    is_steps = named or 2 * orders > len(blocks) or (numbered and _STEPS_LEAD.search(lead) is not None)
    return "steps" if is_steps else "list"


def _lead(outline: Outline, first: int) -> int | None:
    """Where the sentence starts that leads in to the list at a block: it ends with a colon, or is all of its block."""
    before = outline.blocks[first - 1] if first else None
    if before is None or before.kind not in ("lead", "prose"):
        return None
    spans = sentence_spans(outline.of(before))
    if not spans or (before.kind == "prose" and len(spans) > 1):
        return None
    start = before.start + spans[-1][0]
    text = outline.text[start : before.end]
    fit = count_words(text) <= _LONGEST_LEAD and is_clean(text) and starts_well(text) and not dangles(text)
    return start if fit else None
