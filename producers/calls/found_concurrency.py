"""How many calls in flight an endpoint was found to be good for, kept from one start to the next.

It stands in `pace.json` of the state folder, by model and endpoint, since it belongs to these and to this machine's way
there, and to no run. A file that cannot be read or written is done without: it is found out again.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.masking import shown_url
from infra.settings import Settings
from producers.backends.choice import in_flight_of
from producers.calls.explorer import Explorer
from producers.calls.rate_control import RateControl, RateOptions

MOST = 64
_FILE = "pace.json"


def explores(settings: Settings, in_flight: int | None) -> bool:
    """Whether the number of calls in flight is to be found out: at an endpoint, when none was given."""
    return in_flight is None and settings.backend == "openai"


def rate_control_for(
    settings: Settings, options: RateOptions, in_flight: int | None, say: Callable[[str], None]
) -> RateControl:
    """The pace of a lane: up to `in_flight` calls at once, or, without a number, what suits the backend or is found."""
    if not explores(settings, in_flight):
        return RateControl(options, in_flight or in_flight_of(settings), say)
    found = _read(settings).get(_key(settings))
    known = found is not None and options.start is None
    explorer = Explorer(MOST, options.start or found or Explorer.level, say, known=known)
    if known:
        say(f"Beginning with {found} calls in flight, as was found before")
    return RateControl(options, MOST, say, explorer)


def keep_found(settings: Settings, pace: RateControl) -> None:
    """Keep what was found, for the next start; nothing when nothing was."""
    level = None if pace.explorer is None else pace.explorer.settled
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
