"""The streams of the yield study: instructions listed by the LLM, with nothing answered, trained or fed back.

Each stream is a run of its own, `<prefix>-<rng seed>`. It is filtered live as by Self-Instruct, the strictest of the
two sides, so that its budget in kept instructions is enough for both. When it has kept so many, or its time is over, it
is archived, and an archived stream is not made again. One that is interrupted stays on the log, and goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.machine.supervisor import Supervisor
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunError
from schemas.topics import check_run_name

if TYPE_CHECKING:
    from infra.log.archive import ArchiveSource

SAY_EVERY_S = 15.0
_LOOK_S = 1.0
_FILTER_WAIT_S = 120.0
_POLICY = {"mode": "self-instruct", "answer": "kept"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class StreamRequest:
    """The streams that are wanted.

    kept       instructions that each is to keep at least
    minutes    that the generator of each works at most
    folder     of their archives, and of the output of their parts
    prefix     of the names of their runs
    generate   further arguments of `sedi generate`
    """

    rng_seeds: tuple[int, ...]
    kept: int
    minutes: float
    folder: Path
    prefix: str
    generate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.rng_seeds or len(set(self.rng_seeds)) < len(self.rng_seeds):
            raise ConfigurationError("--rng takes one or more different rng seeds, such as --rng 1,2,3.")
        if not (self.minutes > 0 and self.kept > 0):
            raise ConfigurationError("A stream needs more than 0 minutes and kept instructions.")

    def archive_of(self, rng_seed: int) -> Path:
        """Where a stream is archived."""
        return self.folder / f"rng-{rng_seed}"

    @property
    def missing(self) -> tuple[int, ...]:
        """Rng seeds without an archive."""
        return tuple(each for each in self.rng_seeds if not self.archive_of(each).exists())


def rng_seeds(text: str) -> tuple[int, ...]:
    """The rng seeds of `1,2,3`. Raises ConfigurationError."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"--rng takes numbers, such as --rng 1,2,3; {text!r} is not that.") from None


def sources_of(request: StreamRequest) -> list[ArchiveSource]:
    """The archived streams. Raises ConfigurationError when one is of another rng seed."""
    from infra.log.archive import ArchiveSource
    from infra.log.run import configuration

    sources = []
    for rng_seed in request.rng_seeds:
        source = ArchiveSource(request.archive_of(rng_seed))
        found = configuration(source)[0].policy.rng_seed
        if found != rng_seed:
            raise ConfigurationError(f"{source.folder} is a stream of rng seed {found}. Rename it to rng-{found}.")
        sources.append(source)
    return sources


def make_streams(request: StreamRequest, settings: Settings, say: Say) -> None:
    """Make the streams without an archive, one after the other, and archive them.

    Raises SediError when one cannot be made. Ctrl-C ends the calls in flight first; started again, it goes on there.
    """
    from infra.distribution import require
    from infra.local_broker import broker

    missing = request.missing
    if missing:
        require("run", "The yield study")
        if settings.is_local:
            broker.start(settings, progress=say)
    for rng_seed in missing:
        _make(request, settings, rng_seed, say)


def _make(request: StreamRequest, settings: Settings, rng_seed: int, say: Say) -> None:
    from infra.log.archiving import write_archive
    from sedi.configuring import configure
    from sedi.run_options import RunOptions

    run = check_run_name(f"{request.prefix}-{rng_seed}")
    configure(settings, run, RunOptions(run=run, policy={**_POLICY, "rng_seed": rng_seed}), say)
    supervisor = Supervisor(settings, request.folder / "logs" / run)
    arguments = ["--style", "two-step", "--max-ahead", "none", "--max-kept", str(request.kept), *request.generate]
    try:
        supervisor.start("worker", ["worker", "--run", run])
        supervisor.start("generator", ["generate", "--run", run, *arguments])
        _follow(request, settings, run, supervisor, say)
    finally:
        try:
            supervisor.stop("generator")  # its calls in flight end first
            supervisor.stop("worker")
        finally:
            supervisor.kill()
    write_archive(settings, run, request.archive_of(rng_seed), compress=True)
    say(f"{run}: archived in {request.archive_of(rng_seed)}")


def _follow(request: StreamRequest, settings: Settings, run: str, supervisor: Supervisor, say: Say) -> None:
    """Until the generator has ended, or its time is over, and all that it wrote is decided."""
    from consumers.status import StatusWatch

    began = time.monotonic()
    said = 0.0
    with StatusWatch(settings, run) as watch:
        while supervisor.ended("generator") != 0:
            _revive(supervisor, ("worker", "generator"))
            passed = time.monotonic() - began
            if passed > 60 * request.minutes:
                supervisor.stop("generator", wait_s=120.0)
                break
            if passed - said >= SAY_EVERY_S:
                said = passed
                counts = watch.look()
                say(f"{run}: {counts.kept:,} kept of {counts.generated:,} generated, {passed / 60:.1f} min")
            time.sleep(_LOOK_S)
        until = time.monotonic() + _FILTER_WAIT_S
        while watch.look().filter_lag:
            _revive(supervisor, ("worker",))
            if time.monotonic() > until:
                raise RunError(f"The filter of {run} stands still. Look at {supervisor.children['worker'].log_file}.")
            time.sleep(_LOOK_S)


def _revive(supervisor: Supervisor, names: Sequence[str]) -> None:
    for name in names:
        if supervisor.refused(name):
            raise RunError(f"The {name} of the stream ended. The end of its output:\n{supervisor.tail(name)}")
        supervisor.revive(name)
