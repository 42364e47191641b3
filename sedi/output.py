"""Output of the commands: JSON for programs, tables for people, plain columns outside a terminal.

All of it goes through `infra.visible`: no text of a row, a model or an endpoint controls the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra.visible import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from consumers.folds.counts import RunCounts, TokenCounts
    from consumers.html_page import Table as PlainTable
    from infra.settings import Settings

T = TypeVar("T")

_PIPE_WIDTH = 200


def print_json(value: Any) -> None:
    """Print anything msgspec can encode, indented, on standard output."""
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=_encode)
    write_json(msgspec.json.format(encoded, indent=2))


def print_result(found: T, show: Callable[[T], object], *, as_json: bool) -> None:
    """Print a result on standard output: as JSON, or for people as `show` does."""
    (print_json if as_json else show)(found)


def write_json(encoded: bytes) -> None:
    """Write JSON and a newline to standard output. Control characters, and characters outside its encoding, become JSON
    escapes."""
    text = visible_json(encoded.decode())
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(map(_to_ascii, text))
    sys.stdout.write(text + "\n")


def print_error(message: str) -> None:
    """Print an error on standard error."""
    sys.stderr.write(f"sedi: {visible(message)}\n")


def escape_unencodable() -> None:
    """Let standard output and error escape characters outside their encoding instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def notify(message: str) -> None:
    """Print a line about progress on standard error; standard output is for results."""
    message = visible(message)
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    if "SEDI_NEWS_FILE" in os.environ:
        from infra.machine.supervisor import write_news

        write_news(message)


def console() -> Console:
    """Standard output for people: colours and boxes in a terminal, wide plain text elsewhere."""
    from sedi.console import TextConsole

    terminal = sys.stdout.isatty()
    return TextConsole(width=None if terminal else _PIPE_WIDTH)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; columns whose name begins with '#', which is not shown, hold numbers and are right-aligned."""
    from rich import box
    from rich.table import Table

    terminal = sys.stdout.isatty()
    result = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.ROUNDED if terminal else None,
        pad_edge=terminal,
        show_header=any(columns),
    )
    for name in columns:
        right = name.startswith("#")
        result.add_column(name.removeprefix("#"), justify="right" if right else "left", no_wrap=right)
    for row in rows:
        result.add_row(*(shown(cell) for cell in row))
    return result


def print_tables(tables: Iterable[PlainTable], most: int | None = None) -> None:
    """Print tables; of a longer cell only `most` characters."""
    out = console()
    for each in tables:
        rows = [
            [cell if most is None or len(cell) <= most else f"{cell[: most - 1]}…" for cell in row] for row in each.rows
        ]
        out.print(table(each.title, each.columns, rows))


def shown(value: object) -> str:
    """A value for people: None as '–', floats to four digits, line breaks as spaces."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:,}"
        case _:
            return " ".join(str(value).split())


def clock(timestamp_ms: int | None) -> str:
    """A record's time in the local time zone, to the second."""
    if timestamp_ms is None:
        return "–"
    return datetime.fromtimestamp(timestamp_ms / 1000).astimezone().isoformat(sep=" ", timespec="seconds")


def percent(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.1f} %"


def dollars(amount: float | None, known: float = 0.0) -> str:
    """A cost; of an unknown one the part that is `known`."""
    if amount is not None:
        return f"${amount:.4f}"
    return f"unknown (at least ${known:.4f})" if known else "unknown"


def priced(settings: Settings) -> bool:
    """Whether a call's price is known, so that no calls cost $0 and not an unknown amount."""
    from infra.prices import Prices

    return Prices.of(settings).known


def spent(counts: RunCounts, *, priced: bool) -> str:
    """A run's cost so far; also unknown before the first call that took tokens, unless calls are `priced`."""
    unknown = not counts.calls.answered and not counts.calls.failed_paid and not priced
    return dollars(None if unknown else counts.cost.usd, counts.cost.known_usd)


def token_counts(counts: TokenCounts) -> str:
    """Tokens in words: of the prompts, of those the cached ones where they are reported, and of the answers."""
    prompt, completion = ("unknown" if each is None else f"{each:,}" for each in (counts.prompt, counts.completion))
    share = percent(counts.cached / counts.prompt) if counts.cached and counts.prompt else ""
    cached = "" if counts.cached is None else f" ({counts.cached:,} cached{f', {share}' if share else ''})"
    return f"{prompt} prompt{cached}, {completion} completion"


def answered_line(counts: RunCounts) -> list[tuple[str, str]]:
    """A line of a table on the answers to kept rows; none in a run whose rows have them when they are kept."""
    import msgspec

    found = counts.answered
    if isinstance(found, msgspec.UnsetType):
        return []
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in found.unused.items())
    unused = f", {found.unused_total:,} not used ({reasons})" if reasons else ""
    released = f", {found.released:,} of them released" if isinstance(found.released, int) and reasons else ""
    return [("answered", f"{found.used:,}, {found.waiting:,} waiting{unused}{released}")]


def batches_line(counts: RunCounts) -> list[tuple[str, str]]:
    """A line of a table on batches at an endpoint; none in a run without."""
    import msgspec

    found = counts.batches
    if isinstance(found, msgspec.UnsetType):
        return []
    ended = ", ".join(f"{number:,} {status.replace('_', ' ')}" for status, number in found.ended.items())
    return [("batches", f"{found.open:,} open with {found.requests:,} requests{f'; {ended}' if ended else ''}")]


def _encode(value: object) -> str:
    if isinstance(value, Path):
        return visible(str(value))  # its bytes need not be text
    raise NotImplementedError(f"{type(value).__name__} cannot be encoded as JSON")


def _to_ascii(character: str) -> str:
    """A character of JSON in ASCII; beyond U+FFFF as a surrogate pair."""
    if character.isascii():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
