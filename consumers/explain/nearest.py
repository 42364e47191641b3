"""The text most similar to an instruction among those it was compared with, and the tokens they share.

Every row is scored (`streams.core.similarity.rouge`), so the answer is exact below the threshold too. Rows may come in
any order: of equal scores the earliest in the run's total order wins, as in the decider.
"""

from dataclasses import dataclass, field

from consumers.explain.schema.instruction import NearestRow
from consumers.explain.schema.place import RecordPlace, Span, place_of
from infra.log.record import Record
from schemas.events import InstructionKept
from schemas.seeds import SeedTask
from streams.core.decider import BEFORE_ALL
from streams.core.similarity.lcs import common_subsequence, token_spans
from streams.core.similarity.rouge import fmeasure, lcs_length
from streams.core.similarity.tokenize import Tokenizer

Key = tuple[int, int]


@dataclass
class NearestSearch:
    """The most similar text so far, of those before `before` in the total order."""

    text: str
    before: Key
    tokenizer: Tokenizer
    _best: tuple[float, int, int] = (0.0, 0, 0)
    _found: tuple[str, str, RecordPlace | None] | None = None
    _tokens: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = self.tokenizer(self.text)

    def row(self, row: InstructionKept, record: Record, released_from: int | None = None) -> None:
        """Compare with a kept row; `released_from`: the offset from which on candidates are not compared with it."""
        key = row.generated_offset, row.place
        if released_from is not None and released_from <= self.before[0]:
            return
        if key < self.before and self._better(row.instruction, key):
            self._found = row.id, row.instruction, place_of(record)

    def seed(self, seed: SeedTask, place: int) -> None:
        """Compare with an initial seed, as some policies do."""
        if self._better(seed.instruction, (BEFORE_ALL, place)):
            self._found = seed.id, seed.instruction, None

    def result(self) -> NearestRow | None:
        """None when no text shares a token with the instruction."""
        if self._found is None:
            return None
        id, text, where = self._found
        theirs = self.tokenizer(text)
        pairs = common_subsequence(self._tokens, theirs)
        return NearestRow(
            id=id,
            kind="seed" if where is None else "kept",
            at=where,
            instruction=text,
            similarity=self._best[0],
            lcs=len(pairs),
            tokens=(len(self._tokens), len(theirs)),
            marks=_marks(self.text, self.tokenizer, [mine for mine, _ in pairs]),
            its_marks=_marks(text, self.tokenizer, [other for _, other in pairs]),
        )

    def _better(self, text: str, key: Key) -> bool:
        tokens = self.tokenizer(text)
        score = fmeasure(lcs_length(self._tokens, tokens), len(self._tokens), len(tokens))
        rank = score, -key[0], -key[1]
        if not score or (self._found is not None and rank <= self._best):
            return False
        self._best = rank
        return True


def _marks(text: str, tokenizer: Tokenizer, places: list[int]) -> tuple[Span, ...] | None:
    spans = token_spans(text, tokenizer)
    return None if spans is None else tuple(spans[place] for place in places)
