"""Runs a run's worker until a signal stops it."""

import logging
import re
from collections.abc import Callable

import faust

from infra.cluster.refusals import Right, causes, refusal
from infra.cluster.rights import require_groups
from infra.cluster.topics import check
from infra.log.run import read_run
from infra.metrics.declared import WORKER
from infra.observed import observed
from infra.settings import Settings
from schemas.errors import BrokerError, RunError, SediError, TooManyDeadLetters
from streams.worker.app import build
from streams.worker.inspector import Inspector, inspect_beside, inspector_group
from streams.worker.observing import metered_worker
from streams.worker.recovery_watch import watch_recovery
from streams.worker.shutdown import LIMIT_S, bounded_shutdown

logger = logging.getLogger(__name__)


def run_worker(settings: Settings, run: str, loglevel: str, end_process: Callable[[SediError], None]) -> int:
    """Run the filter and feedback agents of a run, and the inspector beside them. Returns the exit code.

    SIGINT and SIGTERM end it cleanly. When its shutdown hangs, `end_process` is called in another thread with the error
    that stopped it: it must end the process at once, without waiting for threads.

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

    def reason() -> BaseException | None:
        return worker.app.failure or worker.app.crash_reason

    def end() -> None:
        hung = RunError(
            f"The worker of run {run!r} was ended, since its shutdown took more than {LIMIT_S:g} s. Nothing is lost; "
            "start it again."
        )
        end_process(_permanent(settings, reason()) or hung)

    try:
        with (
            observed(settings, run, WORKER, say=logger.info),
            metered_worker(worker, run),
            bounded_shutdown(service, end),
        ):
            service.execute_from_commandline()
    except SystemExit as stop:
        permanent = _permanent(settings, reason())
        if permanent is not None:
            raise permanent from reason()
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        return code or int(reason() is not None)
    except Exception as error:
        permanent = _permanent(settings, error)
        if permanent is not None:
            raise permanent from error
        raise BrokerError(f"The worker of run {run!r} stopped: {error!r}. Nothing is lost; start it again.") from error
    return 0


def _permanent(settings: Settings, reason: BaseException | None) -> SediError | None:
    """ClusterRefused or TooManyDeadLetters if that ended the worker: a restart would not help."""
    if reason is None:
        return None
    for cause in causes(reason):
        if isinstance(cause, TooManyDeadLetters):
            return cause
    making = re.search(r"Cannot create topic: ([\w.\-]+)", str(reason))
    return refusal(settings, reason, Right("Create", "topic", making[1]) if making else Right("Write"))
