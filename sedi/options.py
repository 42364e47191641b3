"""What all commands share: options, exit codes, the end of the help, settings from flags.

No large module is imported here. A command imports what it needs when it runs, so that `sedi --help` is fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from schemas.errors import ConfigurationError
from schemas.topics import check_run_name

if TYPE_CHECKING:
    from infra.settings import Settings
    from sedi.api.opened import OpenRun

DEFAULT_RUN = "demo"

Number = TypeVar("Number", int, float)


class ExitCode(IntEnum):
    """The exit code of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    DEAD_LETTERS = 5
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done, 1 failed or found a problem, 2 wrong usage or settings, 3 cluster not reachable, "
    "4 refused for good: by the endpoint (key, model, URL, credit), by the cluster (password, certificate, rights), "
    "or a checkpoint that is not trusted, 5 too many dead letters, 130 interrupted."
)

Run = Annotated[str, typer.Option("--run", envvar="SEDI_RUN", callback=check_run_name, help="Name of the run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT,...", help="Kafka. Default: setting bootstrap_servers."),
]
FromFiles = Annotated[
    Path | None,
    typer.Option("--from-files", metavar="FOLDER", help="Read an archive of a run (`sedi archive`), not the cluster."),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65535,
        help="Serve /metrics, /healthz and /readyz there; 0: a free port. Default: setting metrics_port.",
    ),
]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Broker data, logs, checkpoints. Default: setting state_dir.")
]


def epilog(*examples: str) -> str:
    """The end of a command's help: examples and exit codes."""
    shown = "\n\n".join(f"  {example}" for example in examples)
    return f"Example:\n\n{shown}\n\n{EXIT_CODES}"


def cluster_of(bootstrap_servers: str | None = None, state_dir: Path | None = None, **flags: object) -> Settings:
    """The settings of a command that needs the cluster.

    Raises BrokerError at once, without retries, if nothing listens there.
    """
    settings = settings_of(bootstrap_servers, state_dir, **flags)
    from infra.cluster.listener import require_listener

    require_listener(settings)
    return settings


def opened(
    run: str, from_files: Path | None, bootstrap_servers: str | None = None, state_dir: Path | None = None
) -> OpenRun:
    """The run that a command reads: the archive in `from_files`, or the one on the cluster."""
    from sedi.api.opened import open
    from sedi.output import notify

    if from_files is not None:
        found = open(archive=from_files, state_dir=state_dir)
    else:
        found = open(run, bootstrap_servers=bootstrap_servers, state_dir=state_dir)
    found.notify = notify
    return found


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The last options of a command: a group (`sedi.commands`)."""

    as_json: AsJson = False
    bootstrap_servers: Servers = None
    state_dir: StateDir = None

    def settings(self, **flags: object) -> Settings:
        return settings_of(self.bootstrap_servers, self.state_dir, **flags)

    def cluster(self, **flags: object) -> Settings:
        return cluster_of(self.bootstrap_servers, self.state_dir, **flags)

    def opened(self, run: str, from_files: Path | None = None) -> OpenRun:
        return opened(run, from_files, self.bootstrap_servers, self.state_dir)


def number_or_none(flag: str, text: str, kind: type[Number]) -> Number | None:
    """The value of a flag that takes a number or `none`. Raises ConfigurationError for anything else."""
    if text == "none":
        return None
    try:
        return kind(text)
    except ValueError:
        raise ConfigurationError(f"{flag} takes a number or `none`; {text!r} is neither.") from None


def words_of(flags: Mapping[str, object]) -> list[str]:
    """Flags with their values as words of a command line, without those that are None."""
    return [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]


def settings_of(bootstrap_servers: str | None = None, state_dir: Path | None = None, **flags: object) -> Settings:
    """The settings with these flags; None: not given. Raises ConfigurationError."""
    from infra.settings import load

    return load(bootstrap_servers=bootstrap_servers, state_dir=state_dir, **flags)
