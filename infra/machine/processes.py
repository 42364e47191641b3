"""Identifies processes across pid reuse, and locks between processes.

The system reuses pids, so a `ProcessMark` also holds the start time: a stale pid file never makes us signal another
process. On Linux the start time is in clock ticks since an identified boot, independent of the wall clock; elsewhere it
is psutil's creation time.
"""

import fcntl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class ProcessMark:
    """A process: its pid and its start time."""

    pid: int
    started: str


def process_mark(pid: int) -> ProcessMark:
    """The mark of a running process. Raises psutil.NoSuchProcess."""
    return ProcessMark(pid, _started(psutil.Process(pid)))


def find_process(wanted: ProcessMark) -> psutil.Process | None:
    """The marked process if it still runs; None when it has ended, is a zombie, or its pid was reused.

    psutil checks again before each signal that it is the same process.
    """
    try:
        process = psutil.Process(wanted.pid)
        if _started(process) != wanted.started or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def port_listener(port: int) -> str | None:
    """The process that listens on a TCP port, as `name (pid 123)`; None when there is none or it is hidden from us."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return None
    return None


def run_program(
    command: Sequence[str | Path], environment: Mapping[str, str], timeout_s: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program without input, its output and errors in one text. Raises subprocess.TimeoutExpired."""
    return subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Hold a file's lock, waiting for it first. The system releases it when the process dies."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _started(process: psutil.Process) -> str:
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{process.create_time():.2f}"
    # The second field is the program's name in parentheses, which may hold blanks; the start is field 22.
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"
