"""Keeps what an answerer knows up to date, from a snapshot on."""

from collections.abc import Callable

from infra.settings import Settings
from producers.answer.progress import AnswerProgress
from producers.calls.ordered_progress import CODE, OrderedReader, OrderedSnapshot
from producers.generate.progress_reader import lane_snapshot
from schemas.events import RunConfigured

_TOPICS = ("answered", "calls")

_CODE = (*CODE, "producers/answer/progress.py", "producers/answer/rows.py")
"""`rows` chooses the rows that a position passes over."""


def answer_reader(
    settings: Settings, configured: RunConfigured, lane: str, notify: Callable[[str], None] = lambda _: None
) -> OrderedReader[AnswerProgress]:
    """The answerer's progress, read to the end of the log."""
    file = lane_snapshot(settings, configured, lane, "answerer", *_CODE)
    file.notify = notify
    snapshot = OrderedSnapshot(file, AnswerProgress)
    begin = lambda: AnswerProgress(lane, configured)  # noqa: E731
    return OrderedReader(settings, begin, _TOPICS, lane.replace("/", "-"), snapshot)
