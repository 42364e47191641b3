"""Runs a run's worker until a signal stops it."""

import logging
import re

import faust

from infra.cluster.refusals import Right, causes, refusal
from infra.cluster.rights import require_groups
from infra.cluster.topics import check
from infra.log.run import read_run
from infra.settings import Settings
from schemas.errors import BrokerError, TooManyDeadLetters
from streams.worker.app import build
from streams.worker.inspector import Inspector, inspect_beside, inspector_group
from streams.worker.recovery_watch import watch_recovery


def run_worker(settings: Settings, run: str, loglevel: str = "INFO") -> int:
    """Run the filter and feedback agents of a run, and the inspector beside them. Returns the exit code.

    SIGINT and SIGTERM end it cleanly.

    Raises RunError when the run is not configured, TopicMismatch when its topics are not as declared, ClusterRefused
    when the user lacks a right that a worker needs, BrokerError when the cluster does not answer, TooManyDeadLetters
    when their limit is exceeded.
    """
    configured, _ = read_run(settings, run)
    check(settings, run, configured.policy.clusters)
    require_groups(settings, (f"sedi.{run}.worker", inspector_group(run)))
    (settings.state_dir / run).mkdir(parents=True, exist_ok=True)
    worker = build(settings, run, configured)
    filter_cursor = worker.cursors["generated"]
    watch_recovery(worker.app)
    inspect_beside(worker.app, Inspector(settings, run), lambda: filter_cursor.active)
    for name in ("faust", "aiokafka", "kafka", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    service = faust.Worker(worker.app, loglevel=loglevel, redirect_stdouts=False)
    try:
        service.execute_from_commandline()
    except SystemExit as end:
        _raise_permanent(settings, worker.app.crash_reason)
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Exception as error:
        _raise_permanent(settings, error)
        raise BrokerError(f"The worker of run {run!r} stopped: {error!r}. Nothing is lost; start it again.") from error
    return 0


def _raise_permanent(settings: Settings, reason: BaseException | None) -> None:
    """Raise ClusterRefused or TooManyDeadLetters if that ended the worker: a restart would not help."""
    if reason is None:
        return
    for cause in causes(reason):
        if isinstance(cause, TooManyDeadLetters):
            raise cause
    making = re.search(r"Cannot create topic: ([\w.\-]+)", str(reason))
    refused = refusal(settings, reason, Right("Create", "topic", making[1]) if making else Right("Write"))
    if refused is not None:
        raise refused from reason
