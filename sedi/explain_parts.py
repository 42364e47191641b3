"""Parts of an explanation on the screen: a panel of lines, a request with its attempts, a place on the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from infra.visible import visible
from sedi.explain_texts import cut
from sedi.output import clock, dollars, shown

if TYPE_CHECKING:
    from consumers.explain.schema.generation import RequestStory
    from consumers.explain.schema.place import RecordPlace

SHORT = 70  # characters of a text in a list
LINES = 6  # of a list

Line = str | Text


def panel(out: Console, title: str, lines: Iterable[Line]) -> None:
    """Print lines: in a terminal as a panel, elsewhere indented under the title."""
    texts = [line if isinstance(line, Text) else Text(visible(line)) for line in lines]
    if out.is_terminal:
        out.print(Panel(Group(*texts), title=Text(visible(title)), title_align="left"))
        return
    out.print(f"{title}:", soft_wrap=True)
    for text in texts:
        out.print(Text("  ").append_text(text), soft_wrap=True)


def request_line(request: RequestStory) -> str:
    """A request with its attempts in a line."""
    attempts = []
    for attempt in request.attempts:
        usage = attempt.usage
        tokens = "" if usage is None else f", {usage.prompt_tokens}+{usage.completion_tokens} tokens"
        cost = "" if attempt.cost_usd is None else f", {dollars(attempt.cost_usd)}"
        cost += ", perhaps paid for" if attempt.perhaps_paid else ""
        outcome = {
            "answered": f"answered in {shown(attempt.latency_s)} s{tokens}{cost}",
            "failed": f"failed: {cut(attempt.error or '', SHORT)}{tokens}{cost}",
            "none": "no outcome",
        }[attempt.outcome]
        attempts.append(f"attempt {attempt.attempt} {outcome}")
    return f"request {request.request_id}: {'; '.join(attempts)}"


def at_text(at: RecordPlace | None) -> str:
    """A place on the log, after what stands there; empty for none."""
    return "" if at is None else f" [{at.topic}/{at.partition}@{at.offset}, {clock(at.timestamp_ms)}]"
