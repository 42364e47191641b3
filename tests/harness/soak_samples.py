"""What a soak samples: its processes, the disk, and how far the filter is.

The log is read in a thread of its own: while the broker is away a request takes many seconds, and the samples of
memory, handles and disk must not stop for it. A number of the log that is not fresh is left out of a sample.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.log.reader import LogReader
from infra.machine.disk import bytes_on_disk
from infra.settings import Settings
from schemas.errors import SediError
from schemas.events import InstructionsRejected

_MB = 1e6
_FRESH_S = 15.0
_READ_EVERY_S = 2.0


@dataclass(frozen=True)
class Progress:
    """What the log says.

    at                  when, by the monotonic clock
    written, decided    generations
    instructions, kept  of the decided ones
    """

    at: float
    written: int
    decided: int
    instructions: int
    kept: int

    @property
    def all_decided(self) -> bool:
        return self.decided >= self.written


class ProgressReader:
    """Reads a run's `Progress` every two seconds in a thread, between `__enter__` and `__exit__`.

    After an outage it opens its readers again. `read_failures` counts those.
    """

    def __init__(self, settings: Settings, run: str) -> None:
        self._settings = settings
        self._run = run
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="soak-log", daemon=True)
        self.latest: Progress | None = None
        self.read_failures = 0

    def __enter__(self) -> "ProgressReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60.0)

    def fresh(self) -> Progress | None:
        """The latest, unless it is old."""
        found = self.latest
        return found if found is not None and time.monotonic() - found.at < _FRESH_S else None

    def _loop(self) -> None:
        while not self._ended.is_set():
            try:
                with ExitStack() as readers:
                    generated, rejected = (
                        readers.enter_context(LogReader(self._settings, self._run, [topic], "soak"))
                        for topic in ("generated", "rejected")
                    )
                    while not self._ended.wait(_READ_EVERY_S):
                        self.latest = _read(generated, rejected)
            except (SediError, OSError):  # the broker is away
                self.read_failures += 1
                self._ended.wait(_READ_EVERY_S)


def _read(generated: LogReader, rejected: LogReader) -> Progress:
    end = rejected.ends()["rejected", 0]
    last = rejected.read_range("rejected", 0, end - 1, end, 1) if end else []
    verdict = last[0].event if last else None
    written = generated.ends()["generated", 0]
    if not isinstance(verdict, InstructionsRejected):
        return Progress(time.monotonic(), written, 0, 0, 0)
    decided = verdict.generated_offset + 1
    return Progress(time.monotonic(), written, decided, verdict.generated_total, verdict.kept_total)


def sample(
    seconds: float,
    processes: Mapping[str, tuple[int, psutil.Process | None]],
    progress: Progress | None,
    data: Path,
    logs: Path,
) -> dict[str, float]:
    """One row: by process its life, age, memory, handles and processor time; disk; the filter's lag.

    `processes`: of each its life, and what runs of it.
    """
    row: dict[str, float] = {"seconds": seconds}
    for name, (life, process) in processes.items():
        if process is not None:
            with suppress(psutil.Error):
                row |= {f"{name}_{what}": value for what, value in _of_process(life, process).items()}
    row |= {"disk_mb": bytes_on_disk(data) / _MB, "logs_mb": bytes_on_disk(logs) / _MB}
    if progress is not None:
        row |= {
            "generations": progress.written,
            "lag": max(0, progress.written - progress.decided),
            "instructions": progress.instructions,
            "kept": progress.kept,
        }
    return row


def _of_process(life: int, process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        times = process.cpu_times()
        return {
            "life": life,
            "age_s": time.time() - process.create_time(),
            "mb": process.memory_info().rss / _MB,
            "handles": process.num_fds(),
            "threads": process.num_threads(),
            "cpu_s": times.user + times.system,
        }


def process_of(pid: Callable[[], int | None]) -> psutil.Process | None:
    """The running process of a pid, if there is one."""
    with suppress(psutil.Error, SediError, TypeError):
        found = pid()
        if found is not None:
            process = psutil.Process(found)
            return process if process.status() != psutil.STATUS_ZOMBIE else None
    return None
