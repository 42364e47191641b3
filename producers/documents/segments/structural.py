"""The strategy `structural`: parts of a text that its form shows."""

from collections.abc import Iterator

from producers.documents.segments.draws import Draws
from producers.documents.segments.forms.definitions import definitions, terms
from producers.documents.segments.forms.lists import enumerations, lists
from producers.documents.segments.forms.questions import labelled_questions, questions
from producers.documents.segments.forms.speech import dialogue, quotations, scripted
from producers.documents.segments.proposals import IsFree, Proposal, WordBounds
from producers.documents.segments.sentences import Outline

_FINDERS = (lists, enumerations, labelled_questions, questions, scripted, terms, definitions, quotations, dialogue)


def structural(outline: Outline, bounds: WordBounds, draws: Draws, free: IsFree) -> Iterator[Proposal]:
    """What is found, a random form first and then a random one of that form: a rare form is not lost among others."""
    by_form: dict[str, list[Proposal]] = {}
    for finder in _FINDERS:
        for proposal in finder(outline, bounds):
            by_form.setdefault(proposal.form or "", []).append(proposal)
    left = [draws.shuffled(proposals) for _, proposals in sorted(by_form.items())]
    while left:
        form = draws.between(0, len(left) - 1)
        proposal = left[form].pop()
        if not left[form]:
            left.pop(form)
        if free(proposal.spans):
            yield proposal
