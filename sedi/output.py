"""What the commands print: JSON for programs, tables for people, plain columns when nobody sits there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from consumers.counts import Counts
    from infra.settings import Settings

_PIPE_WIDTH = 200


def print_json(value: Any) -> None:
    """Anything msgspec knows, indented, on standard output."""
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=_encode)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def complain(message: str) -> None:
    """One sentence on standard error."""
    sys.stderr.write(f"sedi: {message}\n")


def tell(message: str) -> None:
    """A line about progress, on standard error: standard output is for what was asked."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    if "SEDI_NEWS_FILE" in os.environ:
        from infra.supervisor import write_news

        write_news(message)


def console() -> Console:
    """Standard output for people: colours and boxes in a terminal, wide plain text elsewhere."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(highlight=False, markup=False, width=None if terminal else _PIPE_WIDTH)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; columns whose name begins with '#' (which is not shown) hold numbers and stand to the right."""
    from rich import box
    from rich.table import Table

    terminal = sys.stdout.isatty()
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.ROUNDED if terminal else None,
        pad_edge=terminal,
        show_header=any(columns),
    )
    for name in columns:
        right = name.startswith("#")
        made.add_column(name.removeprefix("#"), justify="right" if right else "left", no_wrap=right)
    for row in rows:
        made.add_row(*(shown(cell) for cell in row))
    return made


def shown(value: object) -> str:
    """A value for people: unknown as '–', floats to four digits, line breaks gone."""
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
    """A cost; of an unknown one at least what is known of it."""
    if amount is not None:
        return f"${amount:.4f}"
    return f"unknown (at least ${known:.4f})" if known else "unknown"


def priced(settings: Settings) -> bool:
    """Whether a call's price is known, so that nothing spent is $0 and not unknown."""
    return None not in (settings.usd_per_1m_prompt_tokens, settings.usd_per_1m_completion_tokens)


def spent(counts: Counts, *, priced: bool) -> str:
    """What a run has cost so far; unknown before its first call that took tokens too, unless calls are `priced`."""
    nothing_yet = not counts.calls.answered and not counts.calls.failed_paid and not priced
    return dollars(None if nothing_yet else counts.cost.usd, counts.cost.known_usd)


def _encode(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON here")
