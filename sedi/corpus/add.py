"""`sedi corpus add`: files become documents of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, ExitCode, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from producers.documents.corpus.add import CorpusSummary

_COMPLAINTS = 20  # about single documents, before further ones are only counted


def register(group: typer.Typer) -> None:
    examples = epilog(
        "sedi corpus add ./texts --run demo",
        "sedi corpus add crawl.jsonl.gz books/ --text-column body --licence 'CC BY 4.0'",
        "sedi corpus add ./texts --language any --min-characters 500 --json",
    )
    group.command("add", epilog=examples)(add_command)


def add_command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders and files, read in this order.")],
    *,
    run: Run = DEFAULT_RUN,
    language: Annotated[
        str, typer.Option("--language", help="Drop other languages: en, de, ...; `any` drops none.")
    ] = "en",
    min_characters: Annotated[
        int, typer.Option("--min-characters", min=0, help="Drop documents that are shorter.")
    ] = 200,
    max_characters: Annotated[
        int, typer.Option("--max-characters", min=1, help="Drop documents that are longer.")
    ] = 10_000_000,
    near_duplicate: Annotated[
        float,
        typer.Option("--near-duplicate", min=0, max=1, help="Drop from this similarity to an earlier document on."),
    ] = 0.8,
    licence: Annotated[str | None, typer.Option("--licence", help="Of documents that do not name theirs.")] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", help="Of JSON and Parquet. Default: text, content, body, ...")
    ] = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Read files into documents, each an event on the run's log: used, or dropped with a reason.

    Plain text, Markdown, HTML, PDF, JSON Lines, JSON lists and Parquet, each also with .gz. A long text is split at the
    ends of paragraphs. Dropped are texts that cannot be read, stubs, other languages, boilerplate, lists of links,
    duplicates and near-duplicates.

    Documents on the log are not written again: the command continues after Ctrl-C or a crash. A run that does not exist
    is made.
    """
    from infra.distribution import require
    from producers.documents.corpus.add import CorpusOptions, add_corpus
    from producers.documents.corpus.files import corpus_files
    from producers.documents.corpus.language import LanguageFinder
    from producers.documents.corpus.quality import QualityLimits
    from sedi.ensure_run import ensure_run
    from sedi.interrupts import SignalCounter
    from sedi.output import notify, print_json
    from sedi.reading_progress import reading_progress

    require("documents", "sedi corpus add")
    import polars  # noqa: F401 - later it would take the handler of Ctrl-C from the one that is set here

    limits = QualityLimits(
        language=language, min_characters=min_characters, max_characters=max_characters, near_duplicate=near_duplicate
    )
    files = corpus_files(paths)  # a wrong path or language is said before a run is made
    LanguageFinder(language)
    settings = cluster_of(bootstrap_servers, state_dir)
    ensure_run(settings, run, notify)
    options = CorpusOptions(run, files, text_column=text_column, licence=licence, limits=limits)
    complaints = 0

    def complain(message: str) -> None:
        nonlocal complaints
        complaints += 1
        if complaints <= _COMPLAINTS:
            notify(f"Not readable: {message}")
        if complaints == _COMPLAINTS:
            notify("Further documents that are not readable are only counted.")

    with SignalCounter(kill=lambda: None, say=notify) as signals, reading_progress("Adding", "documents") as progress:

        def stop() -> bool:
            signals.check()
            return signals.count > 0

        summary = add_corpus(options, settings, stop=stop, on_read=progress, notify=complain)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)
    if not summary.complete:
        notify("Ended before all files were read. Start the same command again to go on from there.")
        raise typer.Exit(ExitCode.INTERRUPTED)


def show_summary(summary: CorpusSummary) -> None:
    """Print what was read, and what became of it."""
    from sedi.output import console, table

    rows: list[tuple[str, object]] = [
        ("files read", summary.files),
        ("files skipped", summary.skipped),
        *((("folders not readable", summary.closed),) if summary.closed else ()),
        ("documents read", summary.read),
        ("on the log before", summary.known),
        ("used", summary.kept),
        *((f"dropped: {reason}", count) for reason, count in summary.dropped.items()),
        ("characters used", summary.characters),
        ("seconds", round(summary.seconds, 1)),
        ("documents/s", round(summary.documents_per_s)),
    ]
    console().print(table(f"Documents added to run {summary.run}", ("", "#"), rows))
