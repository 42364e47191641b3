"""The tables of `sedi report --compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sedi.output import console, print_tables

if TYPE_CHECKING:
    from consumers.compare import Comparison

_TEXT = 90


def show_comparison(found: Comparison) -> None:
    """Print the tables on standard output."""
    from consumers.compare.tables import tables

    out = console()
    print_tables(tables(found), _TEXT)
    if found.producers is not None:
        for finding in found.producers.extraction:
            out.print(finding.words)
        out.print("In brackets are 95 % intervals; (–) is not known, or of too few documents.")
    if len(found.sides) > 1:
        out.print("× is the ratio to the first run; below 1 saves. Verbs and objects are guessed without a parser.")
