"""`sedi corpus list`: the documents of a run."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from schemas.documents import DropReason
from schemas.errors import ConfigurationError
from sedi.options import DEFAULT_RUN, AsJson, FromFiles, Run, Servers, StateDir, epilog, opened

_SHOWN = 50
_TITLE = 40


def register(group: typer.Typer) -> None:
    examples = epilog("sedi corpus list --run demo", "sedi corpus list --dropped near_duplicate --json")
    group.command("list", epilog=examples)(list_command)


def list_command(
    *,
    run: Run = DEFAULT_RUN,
    dropped: Annotated[
        str | None, typer.Option("--dropped", metavar="REASON", help="Only those dropped for this; `any`: for any.")
    ] = None,
    from_files: FromFiles = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """The documents of a run: where each is from, its language, and whether it is used, dropped or withdrawn.

    Without --json the first 50, and how many there are of each kind.
    """
    from collections import Counter

    from sedi.corpus.documents import documents_of
    from sedi.output import console, print_json, table
    from sedi.reading_progress import log_progress

    reasons = get_args(DropReason)
    if dropped not in (None, "any", *reasons):
        raise ConfigurationError(f"--dropped {dropped!r} is no reason. Choose from any, {', '.join(reasons)}.")
    source = opened(run, from_files, bootstrap_servers, state_dir).source
    found = []
    counts: Counter[str] = Counter()
    with log_progress(f"Reading {source.name}"):
        for document in documents_of(source):
            if dropped is None or (document.dropped is not None and dropped in ("any", document.dropped)):
                found.append(document)
                counts["withdrawn" if document.withdrawn is not None else document.dropped or "used"] += 1
    if as_json:
        print_json(found)
        return
    out = console()
    columns = ("document", "source", "#place", "#start", "#characters", "language", "state", "title")
    rows = (
        (each.id, each.source, each.place, each.start, each.characters, each.language, each.state, each.title[:_TITLE])
        for each in found[:_SHOWN]
    )
    out.print(table(f"Documents of run {source.run}", columns, rows))
    if len(found) > _SHOWN:
        out.print(f"... and {len(found) - _SHOWN:,} more; use --json for all.")
    out.print(", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "No documents.")
