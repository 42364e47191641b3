"""Whatever a file or a model writes, the time for it grows with its length and not with the square of it."""

import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from producers.documents.corpus import quality
from producers.documents.corpus.cleaning import cleaned
from producers.documents.corpus.decide import DocumentDecider, parts_of
from producers.documents.corpus.readers import FoundText
from producers.documents.corpus.readers.pdf import whole_lines
from producers.documents.corpus.readers.plain import heading
from producers.documents.corpus.wikitext import detokenised
from producers.documents.segments import CutOptions, cut
from schemas.policy import Policy
from streams.core.documents.copies import is_copy
from streams.core.parse.answer_text import answer_text
from streams.core.parse.candidates import parse_candidate

CHARACTERS = 200_000
LIMIT_S = 5.0  # of processor time; what grew with the square took from a minute to hours
ID = "00000000-0000-0000-0000-000000000001"
CUT = CutOptions({"random": 1, "salient": 1, "structural": 1, "whole": 1}, 5, 60)
LIMITS = quality.QualityLimits(language="any", max_bare=1.0, max_repeated_lines=1.0, max_repeated_runs=1.0)

ONES = ' \t\n\r=#a@-.[<*(`"1|:\u0301\u00a0。'
MIXES = (
    "= ", "a@", "@.", "[](", "[]", "``A b said ", "- ", " \n", "\n ", ":\n\n", "# ", "<s>", "</s>", "\u0301\u0323",
    "a ", "www.", "A: a\n", "First, a b c d. ", "He said “a b c d e f g h i”. ", "-\n x", "Input: ", '" a ',
)  # fmt: skip


def hostile() -> Iterator[str]:
    for unit in (*ONES, *MIXES):
        run = (unit * CHARACTERS)[:CHARACTERS]
        yield run
        yield f" = x{run}x."
        yield f"# x{run}x"
    yield "-\n" + " " * (CHARACTERS // 2) + "x" + "\n x" * (CHARACTERS // 6)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "cleaned": cleaned,
    "detokenised": detokenised,
    "heading": heading,
    "whole_lines": whole_lines,
    "share_of_bare_lines": lambda text: quality.share_of_bare_lines([text]),
    "decide": lambda text: [
        DocumentDecider(LIMITS).decide(part) for part in parts_of(FoundText("a", 0, "text", "0" * 64, text), LIMITS)
    ],
    "cut": lambda text: cut(ID, 0, text, CUT, 1),
    "is_copy": lambda text: is_copy(text[:4_000], text, Policy()),
    "parse_candidate": parse_candidate,
    "answer_text": answer_text,
}


@pytest.fixture
def limited() -> Iterator[Callable[[Callable[[str], object], str], None]]:
    """Calls a function, and raises when it takes too much processor time: regular expressions look for signals."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)

    def call(function: Callable[[str], object], text: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        try:
            function(text)
        except TimeoutError:
            pytest.fail(f"more than {LIMIT_S:g} s for {text[:20]!r} ... {text[-10:]!r}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    yield call
    signal.signal(signal.SIGPROF, before)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_text_takes_time_by_the_square_of_its_length(
    name: str, limited: Callable[[Callable[[str], object], str], None]
) -> None:
    for text in hostile():
        limited(FUNCTIONS[name], text)
