"""The console for people: every text is printed as text, whatever it holds.

rich would interpret markup (`[bold]`), names of emoji (`:bomb:`) and control characters. Here a string is made
`visible` before it is measured and laid out, so that columns stay aligned; a ready `Text` is made visible when it is
rendered. rich's own cursor codes are control segments and pass.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from infra.visible import visible


class TextConsole(Console):
    """A rich console without markup, emoji codes and highlighting, which prints no control character of a text."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
