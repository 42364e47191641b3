"""The `sedi` processes of this machine that work on a run, by their command lines.

Seen are those of this machine alone; of another user's only where the system shows their command lines. A process that
names no cluster is taken to use this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from sedi.options import DEFAULT_RUN

_WRITING = frozenset(
    {"run", "configure", "worker", "generate", "answer", "judge", "train", "corpus", "eval", "restore", "preview"}
)
_READING = frozenset(
    {"status", "tail", "report", "replay", "explain", "export", "withdraw", "archive", "topics", "dlq", "web"}
)
_SERVERS, _RUN = "SEDI_BOOTSTRAP_SERVERS", "SEDI_RUN"
_PROGRAM_WITHIN = 8  # words: an interpreter and its options come first


class LocalProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process of this machine: the `sedi` command that it runs, and whether that writes to the run."""

    pid: int
    command: str
    run: str
    writes: bool


def local_processes(bootstrap_servers: str) -> list[LocalProcess]:
    """The processes that work on any run of a cluster, by pid."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or ()
        if _program(words) is None:
            continue  # the environment is asked for only where it is needed
        try:
            environment = process.environ()
        except psutil.Error:
            environment = {}
        known = of_command(process.info["pid"], words, environment, bootstrap_servers)
        found += [] if known is None else [known]
    return sorted(found, key=lambda process: process.pid)


def of_command(
    pid: int, words: Sequence[str], environment: Mapping[str, str], bootstrap_servers: str
) -> LocalProcess | None:
    """The process of a command line; None when it is none of ours, works on no run, or on another cluster."""
    at = _program(words)
    if at is None or at + 1 >= len(words) or words[at + 1] not in _WRITING | _READING:
        return None
    command, rest = words[at + 1], words[at + 2 :]
    servers = next(_values("--bootstrap-servers", rest), environment.get(_SERVERS, bootstrap_servers))
    if servers.replace(" ", "") != bootstrap_servers:
        return None
    run = next(_values("--run", rest), environment.get(_RUN, DEFAULT_RUN))
    return LocalProcess(pid=pid, command=command, run=run, writes=command in _WRITING)


def _program(words: Sequence[str]) -> int | None:
    """The place of our program among the words: `sedi` itself, or what a Python interpreter was asked to run."""
    names = [Path(word).name for word in words[:_PROGRAM_WITHIN]]
    if "sedi" not in names or not (names[0] == "sedi" or names[0].startswith("python")):
        return None
    return names.index("sedi")


def _values(flag: str, words: Iterable[str]) -> Iterator[str]:
    """The values of an option on a command line."""
    before = ""
    for word in words:
        if before == flag:
            yield word
        elif word.startswith(f"{flag}="):
            yield word.partition("=")[2]
        before = word
