"""`sedi tail`: follow a run's events."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.errors import ConfigurationError
from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from infra.record import Record

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    app.command(
        "tail",
        epilog=epilog(
            "sedi tail --since 10m --type InstructionKept --where cluster=3",
            "sedi tail --until-end --topic rejected --where rejections.reason=similar | jq .data.generation_id",
        ),
    )(tail)


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
        typer.Option("--where", metavar="FIELD=VALUE", help="Only events with this value; may be repeated: all hold."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Begin there: 90s, 10m, 2h, 1d ago, or a time, 2026-11-21T08:00.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Begin at start, end or an offset. Default: end; with --until-end start."),
    ] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End where the log ends now.")] = False,
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after so many events.")] = None,
    as_json: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print only the records' values, as they are.")] = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Follow a run's events, topics merged by time: lines for people in a terminal, JSON lines into a pipe.

    FIELD is a dotted way into the event (cluster, rejections.reason) or a part of its envelope (topic, partition,
    offset, type, id, key, source, causation_id); in lists any item may match.
    """
    from consumers.tail import TailOptions, condition, follow
    from infra.source import TOPICS

    if raw and as_json:
        raise ConfigurationError("--raw and --json were both given. Choose one.")
    if since is not None and start is not None:
        raise ConfigurationError("--since and --from were both given. Choose one.")
    options = TailOptions(
        topics=tuple(topic or TOPICS),
        types=frozenset(type or ()),
        where=tuple(condition(text) for text in where or ()),
        start=_start(start, until_end),
        since_ms=None if since is None else since_ms(since, time.time()),
        until_end=until_end,
        count=count,
    )
    if raw:
        write: Callable[[Record], None] = _raw
    else:
        write = _json if as_json or not sys.stdout.isatty() else _line_writer()
    for record in follow(cluster_of(bootstrap_servers, state_dir), run, options):
        write(record)
        # Whoever reads the pipe wants an event when it happens; of history, flushing each line would cost the most.
        if not until_end:
            sys.stdout.flush()


def since_ms(text: str, now_s: float) -> int:
    """The timestamp that `--since` means: so long before `now_s`, or a time, local unless it has a zone."""
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in _UNITS_S:
        return int((now_s - int(number) * _UNITS_S[unit]) * 1000)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        raise ConfigurationError(
            f"--since {text!r} is not a time. Give a span such as 90s, 10m, 2h, 1d, or a time such as 2026-11-21T08:00."
        ) from None


def _start(text: str | None, until_end: bool) -> Literal["start", "end"] | int:
    match text:
        case None:
            return "start" if until_end else "end"
        case "start" | "end":
            return text
        case _ if text.isdecimal():
            return int(text)
        case _:
            raise ConfigurationError(f"--from {text!r} is not a place. Give start, end or an offset such as 120.")


def _raw(record: Record) -> None:
    sys.stdout.buffer.write((record.value or b"") + b"\n")


def _json(record: Record) -> None:
    import msgspec

    from consumers.tail import as_line

    sys.stdout.write(msgspec.json.encode(as_line(record)).decode() + "\n")


def _line_writer() -> Callable[[Record], None]:
    from rich.text import Text

    from consumers.summary import summary
    from sedi.output import console

    out = console()

    def write(record: Record) -> None:
        at = datetime.fromtimestamp(record.timestamp_ms / 1000).strftime("%H:%M:%S.%f")[:-3]
        line = Text.assemble((at, "dim"), " ", (f"{record.topic}/{record.partition}@{record.offset}", "cyan"), " ")
        if record.event is None:
            line.append(f"cannot be read: {record.error}", style="red")
        else:
            line.append(type(record.event).__name__, style="bold").append(f" {summary(record.event)}")
        out.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    return write
