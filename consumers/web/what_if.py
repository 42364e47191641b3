"""What other thresholds would have kept of a run, for a page: the whole run decided again by each, in the background.

Which rows are kept depends on those kept before, so no number of a row tells what another threshold makes of it: each
threshold is one pass over the recorded answers (`consumers.replay.what_if`). They are decided one after another, the
nearest to the run's own first; the page shows those that are there. Nothing is written, and no call is made.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from consumers.replay.what_if import WhatIfOutcome, what_if
from infra.log.source import Source
from infra.visible import first_line
from schemas.errors import SediError
from schemas.policy import Policy

THRESHOLDS = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


class OtherThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold makes of the answers; `in_both`: rows that it keeps and the run kept."""

    threshold: float
    kept: int
    in_both: int
    outcome: WhatIfOutcome


class WhatIfState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the passes are.

    own              the run's threshold
    thresholds       all that are tried, ascending
    real             the run as it was; None before the first pass has ended
    found            passes that have ended, by threshold, ascending
    at, done, of     the pass at work, and its generations; None when none is
    through_offset   of `generated`: the last generation that is decided
    """

    own: float
    thresholds: tuple[float, ...]
    real: WhatIfOutcome | None = None
    found: tuple[OtherThreshold, ...] = ()
    at: float | None = None
    done: int = 0
    of: int = 0
    through_offset: int | None = None
    error: str | None = None


class _Ended(Exception):
    """The server ends."""


@dataclass
class _Study:
    state: WhatIfState
    thread: threading.Thread | None = None


class WhatIfStudies:
    """The studies of a page's runs, one pass at a time over all of them. `stopping`: whether the server ends."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._studies: dict[str, _Study] = {}
        self._starting = threading.Lock()
        self._at_work = threading.Lock()

    def state(self, name: str, source: Source, policy: Policy, *, again: bool = False) -> WhatIfState:
        """How far a run's study is; it is begun if there is none, or `again` when it has ended."""
        with self._starting:
            study = self._studies.get(name)
            running = study is not None and study.thread is not None and study.thread.is_alive()
            if study is None or (again and not running):
                tried = tuple(sorted({*THRESHOLDS, policy.threshold}))
                study = _Study(WhatIfState(own=policy.threshold, thresholds=tried))
                study.thread = threading.Thread(
                    target=self._run, args=(study, source, policy), name=f"what-if-{name}", daemon=True
                )
                self._studies[name] = study
                study.thread.start()
            return study.state

    def _run(self, study: _Study, source: Source, policy: Policy) -> None:
        order = sorted(study.state.thresholds, key=lambda threshold: abs(threshold - policy.threshold))
        try:
            for threshold in order:
                with self._at_work:
                    self._pass(study, source, msgspec.structs.replace(policy, threshold=threshold))
        except _Ended:
            pass
        except SediError as error:
            _update(study, at=None, error=str(error))
        except BaseException as error:
            _update(study, at=None, error=f"a fault of this program: {first_line(error)}")
            raise

    def _pass(self, study: _Study, source: Source, policy: Policy) -> None:
        def progress(done: int, of: int) -> None:
            if self._stopping():
                raise _Ended
            _update(study, done=done, of=of)

        _update(study, at=policy.threshold, done=0, of=0)
        found = what_if(source, policy, progress=progress)
        one = OtherThreshold(
            threshold=policy.threshold, kept=found.what_if.kept, in_both=found.in_both, outcome=found.what_if
        )
        ended = tuple(sorted((*study.state.found, one), key=lambda other: other.threshold))
        _update(study, at=None, found=ended, real=found.real, through_offset=found.through_offset)


def _update(study: _Study, **changes: object) -> None:
    """Replaced as a whole, so any thread may read it."""
    study.state = msgspec.structs.replace(study.state, **changes)
