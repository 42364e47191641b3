"""Telling one process from another that later got the same number, and letting processes take turns.

A pid alone proves nothing: the system uses it again. A `ProcessMark` also holds when the process was started, so a
pid file that outlives its process can never make us signal a stranger. On Linux the start is counted in clock ticks
since a boot that has an id, which does not move when the wall clock does; elsewhere it is psutil's creation time.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class ProcessMark:
    """One process for ever: its pid and when it started."""

    pid: int
    started: str


def mark(pid: int) -> ProcessMark:
    """The mark of a running process. Raises psutil.NoSuchProcess when there is none."""
    return ProcessMark(pid, _started(psutil.Process(pid)))


def find(wanted: ProcessMark) -> psutil.Process | None:
    """The marked process if it still runs; None when it has ended, is a zombie, or its pid is now another's.

    psutil checks again, before each signal, that the process is the one found here.
    """
    try:
        process = psutil.Process(wanted.pid)
        if _started(process) != wanted.started or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def listener(port: int) -> str | None:
    """Who listens on a TCP port, as `name (pid 123)`; None when nobody does or the system will not say."""
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


@contextmanager
def turn(lock: Path) -> Iterator[None]:
    """Hold a lock file's lock; waits for whoever holds it. The system lets go of it when a process dies."""
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
