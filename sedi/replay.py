"""`sedi replay`: audit a run, show its state at any time, try another policy on its answers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode, FromFiles, Run

if TYPE_CHECKING:
    from consumers.replay import Audit, AuditExtent
    from infra.log.source import Source
    from sedi.api.opened import OpenRun


@command(
    "replay",
    "sedi replay --run demo",
    "sedi replay --reference 200",
    "sedi replay --at 2026-11-21T08:00",
    "sedi replay --set threshold=0.7 --set compare_with_seeds=true --plot what-if.svg",
    "sedi replay --set gain_at_least=none --set strategies=salient,structural --set candidates=2",
)
def replay(
    *,
    run: Run = DEFAULT_RUN,
    from_files: FromFiles = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="OFFSET|TIME", help="Decide from there on; take the rest as recorded."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="OFFSET|TIME", help="Decide up to there.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="OFFSET|TIME", help="Print the state of the run at that point.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What if: decide by another policy; may be repeated."),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="With --set: draw it, .svg, .png or .pdf.")] = None,
    reference: Annotated[
        int | None,
        typer.Option(
            "--reference",
            metavar="N",
            min=1,
            help="Score N of the verdicts with the rouge_score package too, against all rows kept before.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 on repeats and unreadable records too.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Processes. Default: the cores, at most 8.")] = None,
    common: CommonOptions,
) -> None:
    """Decide a run again from its log and compare it, event by event, with the record.

    Compared are verdicts with reason, similarity and nearest row, segments, seed scores, windows and replacements, in
    their order. It only reads. Ends with 1 on a difference, and shows the first one with both sides and the state
    before it. OFFSET is one of `generated`; TIME is 10m or 2h ago, or 2026-11-21T08:00.
    """
    reading = common.opened(run, from_files)
    if reference and (set_ or at):
        raise ConfigurationError("--reference belongs to an audit; leave out --set and --at.")
    if set_:
        if start or to or at:
            raise ConfigurationError("--set decides the whole run; leave out --from, --to and --at.")
        _what_if(reading.source, set_, plot, common.as_json)
        return
    if plot is not None:
        raise ConfigurationError("--plot draws a what-if; give --set too, such as --set threshold=0.7.")
    if at is not None:
        if start or to:
            raise ConfigurationError("--at was given with --from or --to. Choose one.")
        found = _state(reading.source, at, common.as_json)
    else:
        found = _audit(reading, _extent(start, to), jobs, reference, common.as_json)
    if found.divergences or (strict and (found.repeats or found.unreadable or found.not_in_dead_letters)):
        raise typer.Exit(ExitCode.FAILED)


def _extent(start: str | None, to: str | None) -> AuditExtent:
    from consumers.replay import AuditExtent

    (from_offset, from_ms), (to_offset, to_ms) = _place(start, "--from"), _place(to, "--to")
    return AuditExtent(from_offset=from_offset, from_ms=from_ms, to_offset=to_offset, to_ms=to_ms)


def _audit(reading: OpenRun, extent: AuditExtent, jobs: int | None, reference: int | None, as_json: bool) -> Audit:
    from sedi.output import print_result
    from sedi.reading_progress import counting_progress
    from sedi.replay_tables import show_audit

    with counting_progress(f"Deciding {reading.name} again", "generations") as progress:
        found = reading.replay(extent, jobs=jobs or min(8, os.cpu_count() or 1), progress=progress)
    if reference:
        from consumers.replay.reference import with_reference

        with counting_progress(f"Scoring {reference:,} verdicts with rouge_score", "verdicts") as progress:
            found = with_reference(found, reading.source, reference, progress)
    print_result(found, show_audit, as_json=as_json)
    return found


def _state(source: Source, at: str, as_json: bool) -> Audit:
    from consumers.replay.point_in_time import state_at
    from sedi.output import print_result
    from sedi.reading_progress import counting_progress
    from sedi.replay_tables import show_state

    offset, timestamp_ms = _place(at, "--at")
    with counting_progress(f"Deciding {source.name} again", "generations") as progress:
        found = state_at(source, offset=offset, timestamp_ms=timestamp_ms, progress=progress)
    print_result(found, show_state, as_json=as_json)
    return found.audit


def _what_if(source: Source, pairs: list[str], plot: Path | None, as_json: bool) -> None:
    from consumers.replay.what_if import what_if
    from infra.log.run import configuration
    from schemas.policy import policy_with
    from sedi.output import notify, print_result
    from sedi.reading_progress import counting_progress
    from sedi.replay_tables import show_what_if
    from sedi.run_options import policy_fields

    policy = policy_with(configuration(source)[0].policy, **policy_fields(pairs))
    with counting_progress(f"Deciding {source.name} by another policy", "generations") as progress:
        found = what_if(source, policy, progress=progress)
    if plot is not None:
        from consumers.replay.plot import write_plot

        write_plot(found, plot)
        notify(f"Plot: {plot}")
    print_result(found, show_what_if, as_json=as_json)


def _place(text: str | None, flag: str) -> tuple[int | None, int | None]:
    """An offset or a timestamp in ms."""
    if text is None:
        return None, None
    if text.isdecimal():
        return int(text), None
    from sedi.times import timestamp_ms

    return None, timestamp_ms(text, time.time(), flag)
