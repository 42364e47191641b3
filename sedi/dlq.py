"""`sedi dlq`: the dead letters of a run: list, show, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi.commands import add_group, command
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode, FromFiles, Run

if TYPE_CHECKING:
    from consumers.dead_letters import LetterContent, ListedLetter, RetryResult

Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="generated, kept, calls, ... without `.dlq`.")]
Offset = Annotated[int, typer.Argument(metavar="OFFSET", min=0, help="Offset on the dead-letter topic.")]

_ERROR_SHOWN = 100


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "dlq",
        "Dead letters: records that could not be read, or are on the wrong topic. List, show, retry.",
        (list_command, show, retry),
        "sedi dlq list",
    )


@command("list", "sedi dlq list", "sedi dlq list --topic generated --json")
def list_command(
    *,
    run: Run = DEFAULT_RUN,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="Only of this topic, such as generated; may be repeated.")
    ] = None,
    from_files: FromFiles = None,
    common: CommonOptions,
) -> None:
    """The dead letters: place, origin, time, error, and whether they were put back."""
    from consumers.dead_letters import letters
    from sedi.output import clock, console, print_json, table
    from sedi.reading_progress import log_progress

    source = common.opened(run, from_files).source
    with log_progress(f"Reading {source.name}"):
        found = letters(source, topic)
    if common.as_json:
        print_json(found)
        return
    rows = [
        (
            f"{letter.topic}.dlq",
            letter.offset,
            _origin(letter),
            clock(letter.timestamp_ms),
            _short(letter.error),
            None if letter.retried_as is None else f"as {letter.retried_as}",
        )
        for letter in found
    ]
    columns = ("topic", "#offset", "from", "when", "error", "put back")
    console().print(table(f"{len(found)} dead letters of run {source.run}", columns, rows))


@command("show", "sedi dlq show generated 3")
def show(
    topic: Topic, offset: Offset, *, run: Run = DEFAULT_RUN, from_files: FromFiles = None, common: CommonOptions
) -> None:
    """One dead letter in full: its error, and the original headers, key and value."""
    from consumers.dead_letters import content
    from sedi.output import clock, console, print_json, table

    found = content(common.opened(run, from_files).source, topic, offset)
    if common.as_json:
        print_json(_as_json(found))
        return
    letter, record = found.letter, found.record
    lines = [
        ("place", f"{letter.topic}.dlq, offset {offset}, {letter.copies} times in all"),
        ("origin", _origin(letter)),
        ("put aside", clock(letter.timestamp_ms)),
        ("error", letter.error),
        ("read by this program", "it can be read now" if found.error is None else found.error),
        ("put back", "no" if letter.retried_as is None else f"as offset {letter.retried_as} of {letter.topic}"),
        *(("header", f"{name} = {_text(value)}") for name, value in record.headers),
        ("key", _text(record.key)),
    ]
    if found.left_out:
        lines.append(("value", "the dead letter only names its record; this is the record at its origin:"))
    out = console()
    out.print(table(f"Dead letter {topic}.dlq@{offset}", ("", ""), lines))
    out.print(_pretty(record.value), soft_wrap=True)


@command("retry", "sedi dlq retry generated 3", "sedi dlq retry --all", "sedi dlq retry kept --all")
def retry(
    topic: Annotated[str | None, typer.Argument(metavar="TOPIC", help="generated, ...; with --all not needed.")] = None,
    offset: Annotated[
        int | None, typer.Argument(metavar="OFFSET", min=0, help="Offset on the dead-letter topic; or --all.")
    ] = None,
    *,
    run: Run = DEFAULT_RUN,
    all_: Annotated[bool, typer.Option("--all", help="All that were not put back yet, of TOPIC or the run.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were put back before.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also those that this program still cannot read.")] = False,
    common: CommonOptions,
) -> None:
    """Put the original records back on their topic, where their readers try them again.

    First fix the cause, such as by an update, and restart the worker with it. Ends with 1 when one was refused, because
    it would fail again or was put back before. The dead letters stay.
    """
    from consumers.dead_letters import content, letters
    from consumers.dead_letters import retry as put_back
    from infra.log.source import KafkaSource
    from infra.log.writer import LogWriter
    from schemas.errors import ConfigurationError
    from sedi.output import notify, print_json

    if all_ == (offset is not None) or (topic is None and not all_):
        raise ConfigurationError("Give `sedi dlq retry TOPIC OFFSET`, `sedi dlq retry TOPIC --all` or `--all`.")
    settings = common.cluster()
    source = KafkaSource(settings, run)
    if offset is not None and topic is not None:
        wanted = [content(source, topic, offset).letter]
    else:
        wanted = [x for x in letters(source, None if topic is None else [topic]) if again or x.retried_as is None]
    done: list[RetryResult] = []
    with LogWriter(settings, run, "dlq") as writer:
        for one in put_back(source, writer, wanted, again=again, force=force):
            done.append(one)
            if not common.as_json:
                result = f"put back as offset {one.retried_as}" if one.refused is None else f"refused. {one.refused}"
                notify(f"{one.topic}.dlq@{one.offset} ({len(done)} of {len(wanted)}): {result}")
    refused = sum(1 for one in done if one.refused is not None)
    if common.as_json:
        print_json({"retried": len(done) - refused, "refused": refused, "letters": done})
    else:
        notify(f"{len(done) - refused} put back, {refused} refused.")
    if refused:
        raise typer.Exit(ExitCode.FAILED)


def _as_json(found: LetterContent) -> dict[str, Any]:
    from infra.log.archive import as_text

    record = found.record
    return {
        "letter": found.letter,
        "left_out": found.left_out,
        "unreadable": found.error,
        "key": as_text(record.key),
        "headers": [[name, as_text(value)] for name, value in record.headers],
        "value": as_text(record.value),
    }


def _origin(letter: ListedLetter) -> str | None:
    if letter.from_partition is None:
        return None
    return f"{letter.topic}/{letter.from_partition}@{letter.from_offset}"


def _short(error: str) -> str:
    return error if len(error) <= _ERROR_SHOWN else error[:_ERROR_SHOWN] + "…"


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")


def _pretty(value: bytes | None) -> str:
    """A value as indented JSON if it is JSON, else as text with other bytes escaped."""
    import msgspec

    if value is None:
        return "no value"
    try:
        return msgspec.json.format(value, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return value.decode(errors="backslashreplace")
