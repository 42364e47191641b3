"""The spans of a training window: one of the window, and within it one of each batch.

A window follows from many rows. It goes on with the trace of its last row, which completed it: so one trace leads from
a generation to the seeds that were replaced. To all other rows there are links, from the batch that they are in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import time_ns

from infra.tracing import names
from infra.tracing.spans import EndedSpan, export_span, is_exporting
from schemas import ids
from schemas.events import StepLogged, TrainingLogged
from schemas.trace_context import SpanPlace, generation_place


@dataclass(frozen=True)
class _BatchSpan:
    step: StepLogged
    ended_ns: int
    rows: tuple[SpanPlace, ...]


@dataclass
class WindowSpans:
    """Collects the batches of a window. Those before a restart are not among them; its place is the same."""

    _last: SpanPlace | None = None
    _batches: list[_BatchSpan] = field(default_factory=list)

    def add(self, step: StepLogged, rows: Sequence[SpanPlace]) -> None:
        """A step has ended; `rows`: the verdicts on its rows."""
        self._last = rows[-1] if rows else None
        if is_exporting():
            self._batches.append(_BatchSpan(step, time_ns(), tuple(dict.fromkeys(rows))))

    def place(self, window: str) -> SpanPlace:
        """Of the window with this id."""
        return generation_place(window) if self._last is None else SpanPlace(window, self._last.root)

    def export(self, run: str, event: TrainingLogged, window: str) -> None:
        """The window is on the log now."""
        place, end_ns = self.place(window), time_ns()
        context = place.context(run)
        begun_ns = end_ns
        for batch in self._batches:
            step = batch.step
            start_ns = batch.ended_ns - int(step.seconds * 1e9)
            begun_ns = min(begun_ns, start_ns)
            export_span(
                EndedSpan(
                    names.BATCH,
                    "internal",
                    SpanPlace(ids.child(window, f"step/{step.step}"), place.root),
                    start_ns,
                    batch.ended_ns,
                    parent=context,
                    links=tuple(row.context(run) for row in batch.rows),
                    attributes={
                        names.STEP: step.step,
                        names.LOSS: step.loss,
                        names.GRAD_NORM: step.grad_norm,
                        names.ROWS: len(step.rows),
                    },
                )
            )
        export_span(
            EndedSpan(
                names.WINDOW,
                "producer",
                place,
                begun_ns,
                end_ns,
                parent=None if self._last is None else self._last.context(run),
                attributes={names.WINDOW_NUMBER: event.window, names.EPOCH: event.epoch, names.RUN: run},
            )
        )
