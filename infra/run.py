"""Reading a run's own record of itself: how it was configured."""

from infra.log import LogReader
from infra.settings import Settings
from schemas.errors import RunError
from schemas.events import ClassifierFitted, RunConfigured


def read_run(settings: Settings, run: str) -> tuple[RunConfigured, tuple[ClassifierFitted, ...]]:
    """The run's configuration and all its classifiers so far, in order of the offset they are in force from.

    Of events with the same id the first counts. Raises RunError when the run has not been configured.
    """
    configured: RunConfigured | None = None
    classifiers: dict[int, ClassifierFitted] = {}
    with LogReader(settings, run, ["run"]) as reader:
        for record in reader.read_to_end():
            match record.event:
                case RunConfigured() as event if configured is None:
                    configured = event
                case ClassifierFitted() as event:
                    classifiers.setdefault(event.from_offset, event)
                case _:
                    pass
    if configured is None:
        raise RunError(f"Run {run!r} has topics but was never configured. Start it with `sedi run --run {run}`.")
    return configured, tuple(classifiers[offset] for offset in sorted(classifiers))
