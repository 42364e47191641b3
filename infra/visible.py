r"""Escapes control characters in untrusted text before it is shown on a terminal, in a log file, a card or a page.

`visible` replaces characters that control a terminal or the direction of text with readable escapes: `\x1b`, `\u202e`.
All text for people goes through it: the console and progress lines (`sedi.output`), the log records of every library
(`visible_logs`), cards and pages. In JSON they become JSON's own escapes (`visible_json`), so the value stays the same.

The characters: C0 without newline and tab, DEL, C1, the bidirectional marks, embeddings, overrides and isolates, the
line separators U+2028 and U+2029, and lone surrogates, which cannot be encoded. Look-alikes, joiners and zero-width
characters are not changed.
"""

import logging
import re
import sys
import traceback
import warnings
from types import TracebackType
from typing import Any

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with its control characters as escapes."""
    return _CONTROLS.sub(_escape, text)


def first_line(error: BaseException) -> str:
    """The first line of a library's error, for a message of ours; its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def visible_json(text: str) -> str:
    """JSON text with the same characters as JSON escapes: the value stays the same."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_logs() -> None:
    """Apply `visible` to every log record and warning of this process, and to an uncaught exception."""
    logging.setLogRecordFactory(_VisibleRecord)
    warnings.formatwarning = _warning
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _report


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_format_warning = warnings.formatwarning


def _warning(*args: Any, **kwargs: Any) -> str:
    return visible(_format_warning(*args, **kwargs))


class _VisibleRecord(logging.LogRecord):
    """A log record whose message and traceback are visible to every formatter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = visible("".join(traceback.format_exception(*self.exc_info)).rstrip("\n"))

    def getMessage(self) -> str:
        return visible(super().getMessage())


def _report(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, where))))
