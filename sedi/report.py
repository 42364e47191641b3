"""`sedi report`: the numbers and cost of a run; with `--compare` of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.topics import check_run_name
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode, Run, opened

if TYPE_CHECKING:
    from rich.table import Table

    from consumers.folds.spending import Purpose
    from consumers.report import PurposeCost, Report
    from infra.log.source import Source
    from infra.settings import Settings


_BAR = 40  # characters of the longest possible bar of a histogram


@command(
    "report",
    "sedi report",
    "sedi report --run demo --json --seeds",
    "sedi report --compare baseline mine --html compared.html",
    "sedi report --compare from-documents --sample 100",
)
def report(
    *,
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="With --compare: the runs.")] = None,
    run: Run = DEFAULT_RUN,
    seeds: Annotated[bool, typer.Option("--seeds", help="Add a row for each seed in the pool.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show the given runs, then archives, side by side against the first.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="With --compare: write a page.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FOLDER", help="With --compare: write PNGs.")] = None,
    from_files: Annotated[
        list[Path] | None,
        typer.Option("--from-files", metavar="FOLDER", help="Read an archive of a run; may be repeated to compare."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="ROWS",
            help="With --compare, of producers and strategies: rows of each sample that diversity is measured on. "
            "Default: half of the documents of the smallest group.",
        ),
    ] = None,
    training: Annotated[
        Path | None, typer.Option("--training", metavar="FOLDER", help="A training's output; default: the run's own.")
    ] = None,
    common: CommonOptions,
) -> None:
    """The numbers and cost of a run, computed from its log alone; with --compare, of several side by side.

    Ends with 1 when the books of the one run are not in order: an instruction without exactly one verdict.
    Compared are calls, tokens and money per 1,000 kept (also at the same number of kept), yield over time, rejections,
    diversity of the kept, and seed scores. With rows from documents also producers and strategies, for one run too.
    """
    from schemas.errors import ConfigurationError

    archives = from_files or []
    if compare:
        if seeds:
            raise ConfigurationError("--seeds is for one run; --compare --json shows all seeds.")
        names = [check_run_name(name) for name in runs or ()]
        sources = [common.opened(name).source for name in names]
        _compare([*sources, *(opened("", folder).source for folder in archives)], html, plot, sample, common.as_json)
        return
    if runs or html or plot or sample is not None or len(archives) > 1:
        raise ConfigurationError(
            "Run names as arguments, --html, --plot, --sample and several --from-files are for --compare. Add it, or "
            "name the one run with --run."
        )
    from msgspec.structs import replace

    from consumers.report import held_out_of
    from sedi.output import priced, print_json
    from sedi.reading_progress import log_progress

    reading = common.opened(run, archives[0] if archives else None)
    with reading, log_progress(f"Reading {reading.name}"):
        found = reading.report(seeds=seeds)
    folder = training or common.settings().state_dir / found.run
    found = with_prices(replace(found, held_out=held_out_of(found.run, folder)), common.settings())
    if common.as_json:
        print_json(found)
    else:
        show_report(found, priced=priced(common.settings()))
    if not found.accounted:
        raise typer.Exit(ExitCode.FAILED)


def with_prices(found: Report, settings: Settings) -> Report:
    """The report with what calls cost by these settings, where that is known or an endpoint is asked."""
    from msgspec.structs import replace

    from infra.prices import prices_in_use

    prices = prices_in_use(settings)
    return replace(found, prices=prices) if prices.known or settings.backend == "openai" else found


def _compare(
    sources: Sequence[Source], html: Path | None, plot: Path | None, sample: int | None, as_json: bool
) -> None:
    from consumers.compare import compare
    from sedi.compare_tables import show_comparison
    from sedi.output import notify, print_result
    from sedi.reading_progress import log_progress

    with log_progress("Reading the runs"):
        found = compare(sources, sample=sample)
    if html is not None:
        from consumers.compare.page import write_page

        write_page(found, html)
        notify(f"Page: {html}")
    if plot is not None:
        from consumers.compare.plots import write_plots

        notify(f"{len(write_plots(found, plot))} figures in {plot}")
    print_result(found, show_comparison, as_json=as_json)


def show_report(found: Report, *, priced: bool = False) -> None:
    """Print the report; `priced`: whether this machine's calls have a price."""
    import msgspec

    from sedi.output import (
        answered_line,
        batches_line,
        clock,
        console,
        dollars,
        percent,
        shown,
        spent,
        table,
        token_counts,
    )

    out = console()
    lines = [
        ("mode", found.mode),
        ("first and last event", f"{clock(found.first_event_ms)}, {clock(found.last_event_ms)}"),
        ("LLM calls", _listed(msgspec.structs.asdict(found.calls))),
        *batches_line(found),
        ("tokens", token_counts(found.tokens)),
        ("cost", spent(found, priced=priced)),
        ("cost per kept row", dollars(found.cost.usd_per_kept)),
        *_answered_cost(found),
        *_prices(found),
        ("generations", found.generations),
        ("generated", found.generated),
        ("kept", found.kept),
        *answered_line(found),
        ("rejected", found.rejected_total),
        ("undecided", f"{found.undecided:,} ({found.filter_lag:,} records behind)"),
        ("yield", percent(found.kept_share)),
        ("unparsed", f"{found.unparsed_total:,}{_in_brackets(found.unparsed)}"),
        ("classifiers", found.classifiers),
        ("training", f"{found.steps:,} steps, {found.windows:,} windows, {found.epochs} epochs"),
        *_held_out(found),
        ("seeds replaced", found.replacements),
        ("generations from a replaced pool", _part(found.generations_after_replacement, found.after_replacement_share)),
        (
            "generations shown a new seed",
            _part(found.generations_with_replacement_seed, found.with_replacement_seed_share),
        ),
        ("duplicates dropped", _listed(found.duplicates)),
        ("unreadable", _listed(found.unreadable)),
        ("dead letters", _listed(found.dead_letters)),
        *((f"lane {halt.lane} halted", f"{clock(halt.at_ms)}: {halt.reason}") for halt in found.halts),
        ("books in order", "yes" if found.accounted else f"NO, {found.unaccounted:,} faults"),
    ]
    out.print(table(f"Run {found.run}", ("", ""), lines))
    if found.spent:
        out.print(_spending(found))
    if found.rejected:
        share = [(reason, number, percent(number / found.rejected_total)) for reason, number in found.rejected.items()]
        out.print(table("Rejected", ("reason", "#instructions", "#share"), share))
    out.print(table("Kept by cluster", ("#cluster", "#kept"), enumerate(found.clusters)))
    for judged in found.judged:
        out.print(
            table(
                f"Judged by {judged.judge}: {judged.judged:,} rows, mean {shown(judged.mean)}, "
                f"{judged.unreadable:,} without a score, {judged.unjudged:,} not judged",
                ("#score", "#rows", "", "#withheld with it as --min-score"),
                (
                    (f"{row.score:g}", row.rows, "█" * round(_BAR * row.rows / judged.judged), percent(row.withheld))
                    for row in judged.scores
                ),
            )
        )
    if found.unaccounted_first:
        rows = [(fault.generated_offset, fault.id, fault.what) for fault in found.unaccounted_first]
        out.print(table("The first faults", ("#offset", "id", "fault"), rows))
    if not isinstance(found.seeds, msgspec.UnsetType):
        from sedi.seed_tables import seed_table

        out.print(seed_table("Seeds", found.seeds))


def _answered_cost(found: Report) -> list[tuple[str, object]]:
    import msgspec

    from sedi.output import dollars

    if isinstance(found.answered, msgspec.UnsetType):
        return []
    return [("cost per answered row", dollars(found.answered.usd_per_used))]


def _prices(found: Report) -> list[tuple[str, object]]:
    import msgspec

    if isinstance(found.prices, msgspec.UnsetType):
        return []
    return [("a call costs now", found.prices.described())]


_PURPOSES: dict[Purpose, str] = {
    "lists": "lists of instructions, or whole tasks",
    "scoring": "scoring candidates",
    "answers": "answers of rows that are used",
    "answers_rejected": "answers to instructions that were rejected",
    "answers_unused": "answers that are not used",
    "judging": "judging",
    "preview": "previews",
    "evaluation": "evaluation",
    "undecided": "answers of rows without a verdict yet",
    "unwritten": "answers that nothing uses: of unfinished work, or paid for twice",
    "failed": "attempts that failed",
    "lost": "attempts that were lost, maybe paid for",
}


def _spending(found: Report) -> Table:
    """What the calls were for, also for each row that is used, and what answering kept ones alone saves."""
    import msgspec

    from sedi.output import dollars, percent, table

    def cells(name: str, cost: PurposeCost) -> tuple[str, ...]:
        tokens = f"{cost.known_tokens:,}" if cost.tokens is not None else f"at least {cost.known_tokens:,}"
        return (
            name,
            f"{cost.calls:,}",
            tokens if cost.known_tokens or cost.tokens is not None else "unknown",
            "–" if cost.cached_tokens is None else f"{cost.cached_tokens:,}",
            dollars(cost.usd, cost.known_usd),
            "–" if cost.calls_per_row is None else f"{cost.calls_per_row:.2f}",
            "–" if cost.tokens_per_row is None else f"{cost.tokens_per_row:,.0f}",
            "–" if cost.usd_per_row is None else f"${cost.usd_per_row:.6f}",
        )

    rows = [cells(_PURPOSES[purpose], cost) for purpose, cost in found.spent.items()]
    row = "kept row" if isinstance(found.answered, msgspec.UnsetType) else "answered row"
    per_row = (f"#calls a {row}", f"#tokens a {row}", f"#cost a {row}")
    head = ("what for", "#calls", "#tokens", "#of these cached", "#cost", *per_row)
    made = table("What the calls were for", head, [*rows, cells("all but lost ones", found.spent_total)])
    saving = found.saving
    if saving is not None and saving.instructions:
        how = "were not asked for: by the mean answer" if saving.estimated else "would not be with answer=kept:"
        made.caption_justify = "left"
        tokens = "unknown" if saving.tokens is None else f"{saving.tokens:,.0f}"
        made.caption = (
            f"Answers to {saving.instructions:,} rejected instructions {how} {saving.calls:,.0f} calls and "
            f"{tokens} tokens, {percent(saving.share_of_calls)} and {percent(saving.share_of_tokens)} of lists and "
            "answers"
        )
    return made


def _held_out(found: Report) -> list[tuple[str, object]]:
    """Losses on held-out rows in a line: the first, the last, and the curve."""
    known = [(line.step, line.loss) for line in found.held_out if line.loss is not None]
    if not known:
        return []
    from sedi.explain_texts import bars

    (first, before), (last, after), rows = known[0], known[-1], found.held_out[-1].rows
    losses = [loss for _, loss in known]
    low, high = min(losses), max(losses)
    curve = bars([(loss - low) / (high - low) if high > low else 0.0 for loss in losses])
    return [("held-out loss", f"{before:.4f} (step {first}) to {after:.4f} (step {last}) on {rows:,} rows {curve}")]


def _part(number: int, share: float | None) -> str:
    from sedi.output import percent

    return f"{number:,} ({percent(share)})"


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in numbers.items()) or "none"


def _in_brackets(numbers: dict[str, int]) -> str:
    return f" ({_listed(numbers)})" if numbers else ""
