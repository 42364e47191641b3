"""`sedi status`: the state of a run now."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode, Run

if TYPE_CHECKING:
    from rich.console import Group

    from consumers.folds.counts import CallCounts
    from consumers.status import Status, StatusWatch, WindowStatus

_TEXT_SHOWN = 80  # characters of a row


@command("status", "sedi status --watch", "sedi status --run demo --json")
def status(
    *,
    run: Run = DEFAULT_RUN,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between updates with --watch.")] = 2.0,
    common: CommonOptions,
) -> None:
    """Lag, rates, cost, cluster balance, seeds, the last training window, and the broker's health.

    With --watch and --json one JSON object a line. Ends with 3 when the cluster does not answer.
    """
    from consumers.status import StatusWatch
    from sedi.output import console, notify, priced, print_json
    from sedi.reading_progress import log_progress

    settings = common.cluster()
    with StatusWatch(settings, run, notify) as follower:
        with log_progress(f"Reading run {run!r}"):
            found = follower.look()
        if watch:
            _watch(follower, every, common.as_json, priced=priced(settings))
    if common.as_json:
        print_json(found)
    else:
        console().print(status_tables(found, priced=priced(settings)))
    if not found.broker.healthy:
        raise typer.Exit(ExitCode.UNREACHABLE)


def _watch(follower: StatusWatch, every: float, as_json: bool, *, priced: bool) -> NoReturn:
    import msgspec
    from rich.live import Live

    from sedi.output import console, write_json

    if as_json:
        while True:
            write_json(msgspec.json.encode(follower.look()))
            sys.stdout.flush()
            time.sleep(every)
    out = console()
    if not out.is_terminal:
        while True:
            out.print(status_tables(follower.look(), priced=priced))
            time.sleep(every)
    with Live(console=out, auto_refresh=False, screen=False) as live:
        while True:
            live.update(status_tables(follower.look(), priced=priced), refresh=True)
            time.sleep(every)


def status_tables(found: Status, *, priced: bool = False) -> Group:
    """The status as tables; `priced`: whether this machine's calls have a price."""
    from rich.console import Group

    from sedi.dashboard import row_text
    from sedi.output import answered_line, batches_line, clock, percent, spent, table, token_counts
    from sedi.seed_tables import seed_table

    rates = found.rates
    lines = [
        ("last event", clock(found.last_event_ms)),
        ("behind", f"filter {found.lag.generations:,} generations, trainer {found.lag.untrained:,} kept rows"),
        ("LLM calls", _calls(found.calls)),
        ("in flight", _in_flight(found)),
        ("tokens", token_counts(found.tokens)),
        *batches_line(found),
        ("generated", f"{found.generated:,} in {found.generations:,} generations"),
        ("kept", f"{found.kept:,} ({percent(found.kept_share)}), {found.rejected_total:,} rejected"),
        *answered_line(found),
        ("last kept", row_text(found.moment.last_kept)[:_TEXT_SHOWN]),
        ("last rejected", row_text(found.moment.last_rejected)[:_TEXT_SHOWN]),
        ("per second", f"{rates.generated:.2f} generated, {rates.kept:.2f} kept, {rates.steps:.3f} steps"),
        ("clusters", f"{found.smallest:,} to {found.largest:,} rows in {len(found.clusters)}"),
        ("training", f"{found.steps:,} steps, {found.windows:,} windows, {found.replacements:,} seeds replaced"),
        ("last window", _window(found.last_window)),
        ("cost", spent(found, priced=priced)),
        ("dead letters", sum(found.dead_letters.values())),
        *((f"lane {halt.lane} halted", f"{clock(halt.at_ms)}: {halt.reason}") for halt in found.halts),
        ("broker", found.broker.detail),
    ]
    parts = [table(f"Run {found.run} ({found.mode})", ("", ""), lines)]
    if found.lowest_seeds:
        parts.append(seed_table("Seeds with the lowest scores", found.lowest_seeds))
        parts.append(seed_table("Seeds with the highest scores", found.highest_seeds))
    return Group(*parts)


def _calls(calls: CallCounts) -> str:
    counts = ((calls.failed_paid, "paid for"), (calls.perhaps_paid, "perhaps paid for"))
    paid = ", ".join(f"{count:,} {kind}" for count, kind in counts if count)
    return f"{calls.answered:,} answered, {calls.failed:,} failed{f' ({paid})' if paid else ''}, {calls.lost:,} lost"


def _in_flight(found: Status) -> str:
    from sedi.amounts import duration

    oldest = found.moment.oldest_call_s
    age = f", the oldest for {duration(oldest)}" if found.calls.open and oldest is not None else ""
    return f"{found.calls.open:,}{age}"


def _window(window: WindowStatus | None) -> str:
    if window is None:
        return "none yet"
    from sedi.output import shown

    outcome = "not answered yet" if window.outcome is None else window.outcome
    name = f"epoch {window.epoch} window {window.window}, to step {window.step}"
    return f"{name}: loss {shown(window.loss)}, gradient norm {shown(window.grad_norm)}, {outcome}"
