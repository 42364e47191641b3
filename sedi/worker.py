"""`sedi worker`: the filter and feedback agents of a run."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from infra.distribution import require
from schemas.errors import SediError
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, MetricsPort, Run


@command("worker", "sedi worker --run demo")
def worker(
    *,
    run: Run = DEFAULT_RUN,
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option("--log-level", help="What to log on standard error.")
    ] = "INFO",
    metrics_port: MetricsPort = None,
    common: CommonOptions,
) -> None:
    """A Faust worker of a run: decides what is kept, and which seeds are replaced. Ctrl-C or SIGTERM ends it cleanly.

    A second one is a stand-by that takes over when the first ends. With --json it prints its exit code as JSON.
    """
    require("run", "sedi worker")
    from sedi.output import print_json
    from streams.worker.main import run_worker

    code = run_worker(common.settings(metrics_port=metrics_port), run, log_level, _end_process)
    if common.as_json:
        print_json({"run": run, "exit_code": code})
    raise typer.Exit(code)


def _end_process(error: SediError) -> None:
    """End this process at once as an error does; threads that hang would keep it."""
    from sedi.main import exit_code_of
    from sedi.output import print_error

    print_error(str(error))
    sys.stderr.flush()
    os._exit(exit_code_of(error))
