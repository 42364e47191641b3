"""The number of calls in flight that was found for an endpoint, kept from one start to the next.

It is in `pace.json` of the state folder, by model and endpoint, since it depends on these and on this machine, not on a
run. If the file cannot be read or written, the number is found again.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.masking import shown_url
from infra.settings import Settings
from producers.backends.batch.options import BatchOptions
from producers.backends.choice import in_flight_of
from producers.calls.batching import batch_rate, check_batches
from producers.calls.explorer import Explorer
from producers.calls.rate_control import RateControl, RateOptions

MOST = 64
_FILE = "pace.json"


def explores(settings: Settings, in_flight: int | None) -> bool:
    """Whether the number of calls in flight is found by trial: for an endpoint, when none was given."""
    return in_flight is None and settings.backend == "openai"


def rate_control_for(
    settings: Settings,
    options: RateOptions,
    in_flight: int | None,
    notify: Callable[[str], None],
    batch: BatchOptions | None = None,
) -> RateControl:
    """Rate control with up to `in_flight` calls; None: what suits the backend, or found by trial. In batches as many as
    a lane may have. Raises ConfigurationError where batches cannot be."""
    if batch is not None:
        check_batches(settings, options, in_flight)
        return batch_rate(notify)
    if not explores(settings, in_flight):
        return RateControl(options, in_flight or in_flight_of(settings), notify)
    found = _read(settings).get(_key(settings))
    known = found is not None and options.start is None
    explorer = Explorer(MOST, options.start or found or Explorer.level, notify, known=known)
    if known:
        notify(f"Beginning with {found} calls in flight, as was found before")
    return RateControl(options, MOST, notify, explorer)


def keep_found(settings: Settings, rate: RateControl) -> None:
    """Keep the number that was found, if any, for the next start."""
    level = None if rate.explorer is None else rate.explorer.settled
    if level is None:
        return
    with suppress(OSError):
        file = settings.state_dir / _FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(_read(settings) | {_key(settings): level})))
        draft.replace(file)


def _read(settings: Settings) -> dict[str, int]:
    file: Path = settings.state_dir / _FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError):
        return {}
    return {name: level for name, level in found.items() if 1 <= level <= MOST}


def _key(settings: Settings) -> str:
    return f"{settings.model} at {shown_url(settings.base_url) if settings.base_url else 'OpenAI'}"
