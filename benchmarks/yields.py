"""The yield study with a broker of its own: `python -m benchmarks yield --rng 1,2,3 --minutes 40 --kept 10000`.

It is `sedi eval study yield` (`sedi.eval.studies.yield_study`), in one folder: the broker's data, the archived streams
and the results. Interrupted, it goes on where it was. A GGUF is served by the built-in model's server.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from consumers.yield_study.results import YieldStudy
from infra.local_broker import broker
from infra.local_broker.temporary_broker import free_port
from infra.settings import Settings, load
from sedi.eval.studies.result import as_table
from sedi.eval.studies.yield_streams import Say, StreamRequest, make_streams
from sedi.eval.studies.yield_study import studied, tables_of, write_files
from sedi.output import print_tables

KEPT = 10_000
MINUTES = 40.0
RNG_SEEDS = (1, 2, 3)
_IN_FLIGHT = 16


def measure(
    rng_seeds: Sequence[int], kept: int, minutes: float, folder: Path, model: Path | None, say: Say
) -> YieldStudy:
    """Make the streams that have no archive in `folder`, and decide all of them again. Raises SediError."""
    settings = load(state_dir=folder / "state")
    generate = ("--in-flight", str(_IN_FLIGHT), "--concurrency", str(_IN_FLIGHT))
    request = StreamRequest(tuple(rng_seeds), kept, minutes, folder, _prefix(model), generate)
    if request.missing:
        with _served(settings, model, say) as served, _own_broker(served) as on_broker:
            make_streams(request, on_broker, say)
    last = ""

    def progress(what: str, done: int, of: int) -> None:
        nonlocal last
        if what != last:
            last = what
            say(what)

    return studied(request, progress)


def show(console: Console, study: YieldStudy) -> None:
    """The tables and what they say."""
    for found in tables_of(study):
        print_tables([as_table(found)])
        for note in found.notes:
            console.print(note)


def write(study: YieldStudy, folder: Path, page: Path | None) -> list[Path]:
    """All files of the study."""
    return write_files(study, folder, page)


def _prefix(model: Path | None) -> str:
    return "yield" if model is None else f"yield-{re.sub('[^a-z0-9]+', '-', model.stem.lower()).strip('-')}"


@contextmanager
def _served(settings: Settings, model: Path | None, say: Say) -> Iterator[Settings]:
    """The settings with which a generator asks the model: the environment's, or those of a server of the GGUF."""
    if model is None:
        yield settings
        return
    from producers.backends.builtin.server import BuiltinServer, ServerSettings

    serving = ServerSettings(
        state_dir=settings.state_dir, cache_dir=settings.cache_dir, slots=_IN_FLIGHT, model=model.resolve()
    )
    with BuiltinServer(serving, say) as server:
        yield settings.model_copy(update={"backend": "builtin", "base_url": server.base_url, "model": server.model})


@contextmanager
def _own_broker(settings: Settings) -> Iterator[Settings]:
    """A broker with its data in the folder, on a free port; its data stay for the next time."""
    own = settings.model_copy(
        update={"bootstrap_servers": f"127.0.0.1:{free_port()}", "security_protocol": "PLAINTEXT"}
    )
    broker.start(own)
    try:
        yield own
    finally:
        broker.stop(own)
