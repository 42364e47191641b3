"""The run whose log an evaluation or a corpus writes on: made, if it is not there."""

from collections.abc import Callable

from infra.log.run import read_run
from infra.settings import Settings
from schemas.errors import RunError


def ensure_run(settings: Settings, run: str, say: Callable[[str], None]) -> None:
    """Make the run with the default policy and the project's own seeds, unless it is there.

    Raises BrokerError when the cluster does not answer.
    """
    try:
        read_run(settings, run)
    except RunError:
        from sedi.configuring import configure
        from sedi.run_options import RunOptions

        configure(settings, run, RunOptions(run=run), say)
