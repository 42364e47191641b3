"""`sedi corpus withdraw`: documents that may not be used any more."""

from __future__ import annotations

from typing import Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog


def register(group: typer.Typer) -> None:
    examples = epilog(
        "sedi corpus withdraw 3f1c9a --reason 'the author asked for it' --run demo",
        "sedi corpus withdraw 3f1c9a --dry-run",
    )
    group.command("withdraw", epilog=examples)(withdraw_command)


def withdraw_command(
    documents: Annotated[list[str], typer.Argument(metavar="DOCUMENT_ID...", help="Or the starts of them.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays on the log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which documents would be withdrawn.")] = False,
    run: Run = DEFAULT_RUN,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Withdraw documents: nothing is made from them any more.

    Of a long text, which is several documents, all parts are withdrawn.

    No data set and no training takes a row from them. `sedi withdraw DOCUMENT_ID --dry-run` shows what came from one.
    Withdrawing twice changes nothing. The log keeps the document's text: it records what was trained on.
    """
    from producers.documents.corpus.withdraw import withdraw_documents
    from sedi.output import notify, print_json
    from sedi.reading_progress import log_progress

    with log_progress(f"Reading run {run!r}"):
        found = withdraw_documents(cluster_of(bootstrap_servers, state_dir), run, documents, reason, dry_run=dry_run)
    if as_json:
        print_json(found)
        return
    for id in found.withdrawn:
        notify(f"Would be withdrawn: {id}" if dry_run else f"Withdrawn: {id}")
    for id in found.before:
        notify(f"Withdrawn before: {id}")
    if found.parts:
        notify(f"{found.parts:,} of these are other parts of a text that was named.")
