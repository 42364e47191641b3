"""`sedi tail`: follow a run's events."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.errors import ConfigurationError
from sedi.commands import command
from sedi.options import DEFAULT_RUN, AsJson, FromFiles, Run, Servers, StateDir, cluster_of, opened
from sedi.times import timestamp_ms

if TYPE_CHECKING:
    from infra.log.record import Record

_STYLES = {
    "documents": "blue",
    "kept": "green",
    "rejected": "yellow",
    "answered": "green",
    "judged": "cyan",
    "training-log": "magenta",
    "seed-commands": "blue",
    "measured": "cyan",
    "answers": "green",
    "judgements": "cyan",
}


@command(
    "tail",
    "sedi tail --since 10m --type InstructionKept --where cluster=3",
    "sedi tail --until-end --topic rejected --where rejections.reason=similar | jq .data.generation_id",
    "sedi tail --resume export --from start --topic kept >> kept.jsonl",
)
def tail(
    *,
    run: Run = DEFAULT_RUN,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="Only this topic, such as kept or kept.dlq; may be repeated.")
    ] = None,
    type: Annotated[
        list[str] | None, typer.Option("--type", help="Only this event type, InstructionKept, ...; may be repeated.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FIELD=VALUE", help="Only events that match this; may be repeated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Begin there: 90s, 10m, 2h, 1d ago, or a time, 2026-11-21T08:00.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Begin at start, end or an offset. Default: end; with --until-end start."),
    ] = None,
    last: Annotated[int | None, typer.Option("--last", min=1, help="Begin with the last N matching events.")] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="NAME", help="Continue after the last event printed under this name."),
    ] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End where the log ends now.")] = False,
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after N events.")] = None,
    from_files: FromFiles = None,
    as_json: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print only the records' values, unchanged.")] = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Follow a run's events, topics merged by time: lines for people in a terminal, JSON lines into a pipe.

    FIELD is a dotted path into the event (cluster, rejections.reason) or an attribute of its envelope (topic,
    partition, offset, type, id, key, source, causation_id, ...); in lists any item may match. Operators are =, !=, for
    numbers <, <=, >, >=, and ~ for a regular expression: instruction~haiku.

    With --resume a reader of that name continues after the last event that it printed; after a crash it may print the
    last lines again, and misses none. The first time it begins where --from or --since says.

    With --from-files it prints an archive's events and ends, as with --until-end.
    """
    from consumers.archived_tail import archived
    from consumers.bookmark import Bookmark
    from consumers.conditions import condition
    from consumers.tail import TailOptions, follow
    from infra.log.source import TOPICS

    if raw and as_json:
        raise ConfigurationError("--raw and --json were both given. Choose one.")
    _one_of({"--since": since, "--from": start, "--last": last})
    _one_of({"--last": last, "--resume": resume})
    options = TailOptions(
        topics=tuple(topic or TOPICS),
        types=frozenset(type or ()),
        where=tuple(condition(text) for text in where or ()),
        start=_start(start, until_end or from_files is not None),
        since_ms=None if since is None else timestamp_ms(since, time.time(), "--since"),
        last=last,
        until_end=until_end,
        count=count,
    )
    if raw:
        write: Callable[[Sequence[Record]], None] = _raw
    else:
        write = _json if as_json or not sys.stdout.isatty() else _line_writer()
    if from_files is not None:
        if resume is not None:
            raise ConfigurationError("--resume is for a run on a cluster. Leave it out, or leave out --from-files.")
        for records in archived(opened(run, from_files).source, options):
            write(records)
        return
    settings = cluster_of(bootstrap_servers, state_dir)
    with nullcontext() if resume is None else Bookmark(settings, run, resume) as bookmark:
        for batch in follow(settings, run, options, bookmark):
            if batch.records:
                write(batch.records)
                sys.stdout.flush()
            elif _pipe_closed():
                raise BrokenPipeError
            if bookmark is not None:
                bookmark.save(batch.positions)


def _one_of(given: dict[str, object]) -> None:
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigurationError(f"{' and '.join(names)} were both given. Choose one.")


def _start(text: str | None, until_end: bool) -> Literal["start", "end"] | int:
    match text:
        case None:
            return "start" if until_end else "end"
        case "start" | "end":
            return text
        case _ if text.isdecimal():
            return int(text)
        case _:
            raise ConfigurationError(f"--from {text!r} is invalid. Give start, end or an offset such as 120.")


def _pipe_closed() -> bool:
    """Whether the reader of standard output has closed the pipe; there is nothing to write that would show it."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _raw(records: Sequence[Record]) -> None:
    """The values byte by byte; in a terminal with control characters escaped."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(b"".join((record.value or b"") + b"\n" for record in records))
        return
    import msgspec

    from infra.visible import visible
    from sedi.output import write_json

    for record in records:
        value = record.value or b""
        try:
            msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            sys.stdout.write(visible(value.decode(errors="backslashreplace")) + "\n")
        else:
            write_json(value)


def _json(records: Sequence[Record]) -> None:
    import msgspec

    from consumers.tail import as_line
    from sedi.output import write_json

    for record in records:
        write_json(msgspec.json.encode(as_line(record)))


def _line_writer() -> Callable[[Sequence[Record]], None]:
    from rich.text import Text

    from consumers.summary import summary
    from infra.visible import visible
    from sedi.output import console

    out = console()

    def one_line(text: str) -> str:
        return visible(" ".join(text.split()))

    def write(record: Record) -> None:
        at = datetime.fromtimestamp(record.timestamp_ms / 1000).strftime("%H:%M:%S.%f")[:-3]
        line = Text.assemble((at, "dim"), " ", (f"{record.topic}/{record.partition}@{record.offset}", "cyan"), " ")
        if record.event is None:
            line.append(one_line(f"cannot be read: {record.error}"), style="red")
        else:
            style = _STYLES.get(record.topic, "")
            line.append(type(record.event).__name__, style=f"bold {style}").append(
                f" {one_line(summary(record.event))}"
            )
        out.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    def write_all(records: Sequence[Record]) -> None:
        for record in records:
            write(record)

    return write_all
