"""`sedi report`: what a run made and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, ExitCode, FromFiles, Run, Servers, StateDir, epilog, source_of

if TYPE_CHECKING:
    from consumers.report import Report


def register(app: typer.Typer) -> None:
    app.command(
        "report",
        epilog=epilog("sedi report", "sedi report --run demo --json --seeds"),
    )(report)


def report(
    *,
    run: Run = DEFAULT_RUN,
    seeds: Annotated[bool, typer.Option("--seeds", help="Add a row for each seed in the pool.")] = False,
    from_files: FromFiles = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """What a run made and what it cost, computed from its log alone.

    Ends with 1 when the books are not in order: an instruction without exactly one verdict.
    """
    from consumers.report import report as report_on
    from sedi.output import print_json

    found = report_on(source_of(run, from_files, bootstrap_servers, state_dir), seeds=seeds)
    if as_json:
        print_json(found)
    else:
        show_report(found)
    if not found.accounted:
        raise typer.Exit(ExitCode.FAILED)


def show_report(found: Report) -> None:
    """The report for people, on standard output."""
    import msgspec

    from sedi.output import clock, console, dollars, percent, table

    out = console()
    calls = found.calls
    lines = [
        ("mode", found.mode),
        ("first and last event", f"{clock(found.first_event_ms)}, {clock(found.last_event_ms)}"),
        ("LLM calls", _listed(msgspec.structs.asdict(calls))),
        ("tokens", f"{_count(found.tokens.prompt)} prompt, {_count(found.tokens.completion)} completion"),
        ("cost", dollars(found.cost.usd, found.cost.known_usd)),
        ("cost of a kept one", dollars(found.cost.usd_per_kept)),
        ("generations", found.generations),
        ("generated", found.generated),
        ("kept", found.kept),
        ("rejected", found.rejected_total),
        ("undecided", f"{found.undecided:,} ({found.filter_lag:,} records behind)"),
        ("yield", percent(found.kept_share)),
        ("unparsed", f"{found.unparsed_total:,}{_in_brackets(found.unparsed)}"),
        ("classifiers", found.classifiers),
        ("training", f"{found.steps:,} steps, {found.windows:,} windows, {found.epochs} epochs"),
        ("seeds replaced", found.replacements),
        ("generations that used one", found.generations_with_replacement_seed),
        ("duplicates dropped", _listed(found.duplicates)),
        ("unreadable", _listed(found.unreadable)),
        ("dead letters", _listed(found.dead_letters)),
        ("books in order", "yes" if found.accounted else f"NO, {found.unaccounted:,} faults"),
    ]
    out.print(table(f"Run {found.run}", ("", ""), lines))
    if found.rejected:
        share = [(reason, number, percent(number / found.rejected_total)) for reason, number in found.rejected.items()]
        out.print(table("Rejected", ("reason", "#instructions", "#share"), share))
    out.print(table("Kept by cluster", ("#cluster", "#kept"), enumerate(found.clusters)))
    if found.unaccounted_first:
        rows = [(fault.generated_offset, fault.id, fault.what) for fault in found.unaccounted_first]
        out.print(table("The first faults", ("#offset", "id", "fault"), rows))
    if not isinstance(found.seeds, msgspec.UnsetType):
        from sedi.seed_tables import seed_table

        out.print(seed_table("Seeds", found.seeds))


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items()) or "none"


def _in_brackets(numbers: dict[str, int]) -> str:
    return f" ({_listed(numbers)})" if numbers else ""


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
