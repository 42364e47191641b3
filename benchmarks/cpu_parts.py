"""Which part of a process its processor time goes to, by sampling its stack.

A timer of the process's own processor time interrupts it 250 times a second; each time the stack of the main thread, or
of a thread that computes while the main one waits, is given to the first part whose code is on it. Time in native code
counts for the Python that called it. It costs less than a hundredth; a function of a profiler of calls would cost more
than half of what it measures.
"""

import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

_EVERY_S = 0.004
_DEEPEST = 80

# (part, file's path contains, function or None for any), the first on the stack in this order
_RULES: tuple[tuple[str, str, str | None], ...] = (
    ("fit", "streams/core/cluster_fit", None),
    ("fit", "streams/core/refits", None),
    ("fit", "streams/core/decider", "due_classifier"),
    ("encode", "schemas/envelope", "encode"),
    ("decode", "schemas/envelope", "decode"),
    ("decode", "infra/log/record", None),
    ("compare", "streams/core/similarity", None),
    ("classify", "streams/core/clusters", None),
    ("classify", "streams/core/embeddings", None),
    ("decide, rest", "streams/core/", None),
    ("tables", "faust/tables", None),
    ("tables", "faust/stores", None),
    ("tables", "streams/worker/filter", "_store"),
    ("produce", "aiokafka/producer", None),
    ("produce", "aiokafka/record", "append"),
    ("produce", "faust/topics", None),
    ("produce", "faust/channels", None),
    ("produce", "streams/worker/outlet", None),
    ("consume", "aiokafka/consumer", None),
    ("consume", "faust/transport", None),
    ("consume", "faust/streams", None),
    ("consume", "aiokafka/", None),
    ("consume", "/kafka/", None),
    ("imports", "importlib", None),
    ("worker, rest", "streams/worker", None),
)
_WAITS = ("selectors.py", "threading.py", "queue.py", "concurrent/futures/thread.py")


class CpuParts:
    """Samples while it is entered, in the main thread; on leaving, writes what it saw to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._samples: list[tuple[float, str]] = []

    def __enter__(self) -> "CpuParts":
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        self._file.write_text(json.dumps(self._samples), encoding="utf-8")

    def _sample(self, _: int, frame: FrameType | None) -> None:
        self._samples.append((time.time(), self._part(frame)))

    def _part(self, frame: FrameType | None) -> str:
        if frame is not None and not _waits(frame):
            return part_of(frame)
        working = [each for each in sys._current_frames().values() if each is not frame and not _waits(each)]
        return part_of(working[0]) if working else "event loop"


def part_of(frame: FrameType) -> str:
    """The part that a stack belongs to."""
    on_stack: list[tuple[str, str]] = []
    at: FrameType | None = frame
    while at is not None and len(on_stack) < _DEEPEST:
        on_stack.append((at.f_code.co_filename, at.f_code.co_name))
        at = at.f_back
    for part, path, function in _RULES:
        if any(path in file and function in (None, name) for file, name in on_stack):
            return part
    return "event loop" if any("asyncio/" in file or "/mode/" in file for file, _ in on_stack) else "other"


def shares(file: Path, start: float, end: float) -> dict[str, float]:
    """The share of each part between two moments (seconds since 1970), the largest first."""
    seen = Counter(part for at, part in json.loads(file.read_text(encoding="utf-8")) if start <= at <= end)
    return {part: count / seen.total() for part, count in seen.most_common()}


def _waits(frame: FrameType) -> bool:
    return frame.f_code.co_filename.endswith(_WAITS)
