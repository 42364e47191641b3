"""The schema of `sedi withdraw --json`."""

from typing import Literal

import msgspec

Thing = Literal["document", "seed", "generation", "instruction"]


class WithdrawalLink(msgspec.Struct, frozen=True, kw_only=True):
    """A thing on a path."""

    kind: Thing
    id: str


DerivationPath = tuple[WithdrawalLink, ...]


class SearchedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document that a search began at.

    dropped            why it is not used; None: it is used
    withdrawn_offset   of its withdrawal on `documents`; None: it is not withdrawn
    """

    source: str
    title: str
    dropped: str | None
    withdrawn_offset: int | None


class WithdrawnSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A seed. `path` begins where the search did and ends before this seed."""

    id: str
    instruction: str
    active: bool
    path: DerivationPath


class WithdrawnGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation, at `offset` of `generated`. `instructions`: how many of its instructions were found."""

    id: str
    offset: int
    model: str
    instructions: int
    path: DerivationPath


class WithdrawnRow(msgspec.Struct, frozen=True, kw_only=True):
    """A kept row. `steps` are the (epoch, step) that trained it."""

    id: str
    cluster: int
    instruction: str
    generated_offset: int
    place: int
    steps: tuple[tuple[int, int], ...]
    became_seed: bool
    path: DerivationPath


class WithdrawnStep(msgspec.Struct, frozen=True, kw_only=True):
    """A training step whose batch held some of the rows."""

    epoch: int
    window: int
    step: int
    rows: int
    of: int


class WithdrawalTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Counts. `instructions` are kept, rejected or undecided; `trained` are rows in a logged batch."""

    seeds: int
    generations: int
    instructions: int
    kept: int
    rejected: int
    undecided: int
    trained: int
    steps: int
    clusters: dict[int, int]


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that came from the thing with this `id`, or from `model`; the thing itself included. `document`: if
    the thing is one."""

    run: str
    id: str | None
    model: str | None
    totals: WithdrawalTotals
    seeds: tuple[WithdrawnSeed, ...]
    generations: tuple[WithdrawnGeneration, ...]
    rows: tuple[WithdrawnRow, ...]
    steps: tuple[WithdrawnStep, ...]
    document: SearchedDocument | None = None
