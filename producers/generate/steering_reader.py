"""What the requests of a lane follow, for a policy that steers them (`streams.core.steering`); read from the log.

`generated`, `rejected` and, where the policy has hints, `kept` are read, only for such a policy: from a snapshot on,
where there is one (`infra.snapshots`). What is held are some numbers for each showing of a seed, and with hints the
texts of all kept instructions.

A generation begun by a generator that died asks for the same again: its first `CallStarted` records its steering.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from infra.settings import Settings
from infra.snapshots.following import LogFollower, StateForm, reading_back
from infra.snapshots.own_data import to_bytes
from producers.generate.progress_reader import lane_snapshot
from producers.generate.steering_fold import SteeringFold
from producers.generate.styles import SteeredRequest
from schemas.errors import ConfigurationError
from schemas.events import RunConfigured, Steering
from schemas.policy import Policy
from schemas.seeds import SeedTask
from streams.core.kept_so_far import KeptText
from streams.core.seeds import SeedPool


class SteeringReader:
    """Keeps a `SteeringHistory` up to date for a lane. Thread-safe."""

    def __init__(
        self, settings: Settings, configured: RunConfigured, lane: str, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        policy = configured.policy
        topics = ("generated", "rejected", *(("kept",) if policy.hints else ()))
        file = lane_snapshot(settings, configured, lane, "steering", "producers/generate/steering_fold.py")
        file.notify = notify
        form = steering_form(policy)
        self._log = LogFollower(settings, configured.run, topics, f"generator-{lane}-steering", form, file)
        self._log.keep()
        self._lane = lane
        self._lock = threading.Lock()

    def steer(
        self, number: int, style: str, parameters: Mapping[str, object], recorded: Steering | None = None
    ) -> tuple[Steering, SteeredRequest]:
        """What the number-th generation of the lane asks for, as of the end of the log now.

        recorded     of a generation that was begun before
        parameters   the style's own
        Raises ConfigurationError if it was begun with others.
        """
        with self._lock:
            history = self._log.refresh().history
            if recorded is None:
                now = history.steering(style, parameters, self._lane, number, history.as_of)
                return now, steered(now, history.hints(self._lane, number, history.as_of))
            again = history.steering(style, parameters, self._lane, number, recorded.as_of)
            check_resumed(recorded, again, number)
            return recorded, steered(recorded, history.texts_of(recorded.hint_ids))

    def choose(self, pool: SeedPool, number: int, as_of: int) -> tuple[SeedTask, ...]:
        """The seeds of the pool that the number-th generation of the lane shows."""
        with self._lock:
            seeds = [seed.task for seed in pool.active]
            places = self._log.state.history.choose([seed.id for seed in seeds], self._lane, number, as_of)
            return tuple(seeds[place] for place in places)

    def close(self) -> None:
        self._log.keep(last=True)
        self._log.close()


def steering_form(policy: Policy) -> StateForm[SteeringFold]:
    """How what requests follow is made."""
    return StateForm(
        begin=lambda: SteeringFold(policy),
        apply=SteeringFold.apply,
        to_bytes=to_bytes,
        from_bytes=reading_back(SteeringFold, "producers.generate.steering_fold"),
    )


def steered(steering: Steering, hints: Sequence[KeptText]) -> SteeredRequest:
    """What a style asks for differently, by what is recorded."""
    return SteeredRequest(steering.temperature, steering.list_length, tuple(row.instruction for row in hints))


def check_resumed(recorded: Steering, now: Steering, number: int) -> None:
    """Check that a generation's own temperature and list length are those it was begun with: its event names them.

    Raises ConfigurationError.
    """
    for name, flag in (("temperature", "--temperature"), ("list_length", "--asked")):
        begun, would = getattr(recorded, name), getattr(now, name)
        if begun != would:
            raise ConfigurationError(
                f"Generation {number} was begun with a {name} of {begun}, and with this {flag} it would be {would}. "
                f"Finish it with the {flag} that it was begun with, or give this generator its own --lane."
            )
