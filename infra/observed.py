"""What every long process of a run has: metrics and health over HTTP, traces, and stacks when it is stuck.

`observed` opens all of it around a process's work, each part only where it is asked for. `observation` is what is open
now; outside of it, or where nothing was asked for, its calls do nothing.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from infra.machine.stall_watch import stalls_dumped
from infra.metrics.declared import LOOP_AGE, READY, STALLS
from infra.metrics.health import Heartbeat, ProcessHealth
from infra.metrics.meters import metered
from infra.runs.local_state import METRICS_FOLDER
from infra.settings import Settings
from infra.tracing.spans import exported_spans
from schemas.errors import BrokerError

_TURN_S = 1.0


class Observation:
    """Of one process.

    address   where its metrics are, if it serves them itself
    answers   what its paths answer, for a server of its own to serve
    """

    def __init__(self, health: ProcessHealth) -> None:
        self.health = health
        self.address: str | None = None
        self.answers: Mapping[str, Callable[[str], tuple[int, bytes, str]]] = {}

    def beat(self) -> None:
        """The main loop has turned. To be called at every turn of one that does not use asyncio."""
        self.health.heartbeat.beat()

    async def turn(self) -> None:
        """Beat as long as the event loop turns; a task of it, cancelled at its end."""
        while True:
            self.beat()
            await asyncio.sleep(_TURN_S)

    def ready(self, why: str) -> None:
        self.health.ready(why)

    def not_ready(self, why: str) -> None:
        self.health.not_ready(why)


_NOBODY = Observation(ProcessHealth(Heartbeat(float("inf"))))
_current = _NOBODY


def observation() -> Observation:
    """That of this process."""
    return _current


@contextmanager
def observed(
    settings: Settings,
    run: str,
    kind: str,
    name: str | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
    stall_factor: float = 1.0,
    own_server: bool = True,
    needs_cluster: bool = True,
) -> Iterator[Observation]:
    """Observe this process within the block.

    kind          its component (`infra.metrics.declared`)
    name          its own name, where a run has several of a kind
    say           gets the address of its metrics
    stall_factor  times the setting `stall_s` that a turn of its main loop may take
    own_server    serve its metrics if the setting `metrics_port` asks for it; else they are in `answers`
    needs_cluster whether it is ready only while the cluster answers
    Raises ConfigurationError when the port is taken, or a part that is asked for is not installed.
    """
    global _current  # noqa: PLW0603 - one process is observed once
    component = name or kind
    with ExitStack() as stack:
        reachable = partial(_listens, settings) if needs_cluster else (lambda: True)
        health = ProcessHealth(Heartbeat(settings.stall_s * stall_factor), reachable)
        found = Observation(health)
        stack.enter_context(exported_spans(run, component))
        stalls = stack.enter_context(stalls_dumped(health.heartbeat, f"{component} of run {run!r}"))
        if not own_server or settings.metrics_port is not None:
            _meter(found, stack, run, kind, component, stalls)
        if own_server and settings.metrics_port is not None:
            from infra.metrics.server import served

            serving = served(
                found.answers,
                host=settings.metrics_host,
                port=settings.metrics_port,
                folder=settings.state_dir / METRICS_FOLDER,
                name=f"{run}-{component}",
            )
            found.address = stack.enter_context(serving)
            say(f"Metrics are at http://{found.address}/metrics")
        before, _current = _current, found
        try:
            yield found
        finally:
            _current = before


def _meter(
    found: Observation, stack: ExitStack, run: str, kind: str, component: str, stalls: Callable[[], int]
) -> None:
    from infra.metrics.registry import PrometheusMeters
    from infra.metrics.server import answers_of

    meters, health = PrometheusMeters(run, component, kind), found.health
    meters.read(READY, lambda: float(health.is_ready().good))
    meters.read(LOOP_AGE, lambda: health.heartbeat.age_s)
    meters.read(STALLS, stalls)
    found.answers = answers_of(meters, health)
    stack.enter_context(metered(meters))


def _listens(settings: Settings) -> bool:
    from infra.cluster.listener import require_listener

    try:
        require_listener(settings, 1.0)
    except BrokerError:
        return False
    return True
