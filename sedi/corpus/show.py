"""`sedi corpus show`: one document."""

from __future__ import annotations

from typing import Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, FromFiles, Run, Servers, StateDir, epilog, opened


def register(group: typer.Typer) -> None:
    group.command("show", epilog=epilog("sedi corpus show 3f1c9a --run demo", "sedi corpus show 3f1c9a --json"))(
        show_command
    )


def show_command(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT_ID", help="Or the start of it.")],
    *,
    run: Run = DEFAULT_RUN,
    from_files: FromFiles = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """One document: where it is from, what was measured, and its text. A dropped one has no text."""
    from infra.visible import visible
    from producers.documents.corpus.withdraw import whole_id
    from sedi.corpus.documents import documents_of
    from sedi.output import console, print_json, table
    from sedi.reading_progress import log_progress

    source = opened(run, from_files, bootstrap_servers, state_dir).source
    with log_progress(f"Reading {source.name}"):
        matching = {each.id: each for each in documents_of(source, document)}
    found = matching[whole_id(document, matching, source.run)]
    if as_json:
        print_json(found)
        return
    language = "–" if found.language is None else f"{found.language} ({found.probability or 0:.2f})"
    rows: list[tuple[str, object]] = [
        ("source", found.source),
        ("place, start", f"{found.place}, {found.start}"),
        ("format", found.format),
        ("characters", found.characters),
        ("language", language),
        ("title", found.title),
        ("licence", found.licence),
        ("sha256", found.sha256),
        ("state", found.state),
        ("nearest document", found.nearest_id),
        ("withdrawn because", found.withdrawn),
    ]
    out = console()
    out.print(table(f"Document {found.id}", ("", ""), rows))
    if found.text:
        out.print()
        out.print(visible(found.text), soft_wrap=True)
