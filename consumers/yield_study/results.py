"""The yield study in numbers."""

import msgspec

from consumers.folds.yield_curve import YieldPoint
from consumers.folds.yield_forms import Form


class StudyInterval(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over rng seeds with its 95 % interval by Student's t; the ends are None with one rng seed."""

    mean: float
    low: float | None
    high: float | None
    of: tuple[float, ...]


class YieldStream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream of generated instructions.

    calls, tokens   of its lists; tokens None when a call's are unknown
    hours           from its first event to its last
    """

    source: str
    run: str
    rng_seed: int
    backend: str
    model: str
    style: str
    generations: int
    generated: int
    calls: int
    tokens: int | None
    hours: float


class FilterCurve(msgspec.Struct, frozen=True, kw_only=True):
    """A stream under a side; `points` are some 200 of them, with the last one."""

    rng_seed: int
    side: str
    threshold: float
    kept: int
    generated: int
    calls: int
    points: tuple[YieldPoint, ...]


class SideFit(msgspec.Struct, frozen=True, kw_only=True):
    """The fit of a side, to all streams together.

    form, level, slope   `consumers.folds.yield_forms`
    held_out             by form, (predicted - needed) / needed candidates of the last fifth of the streams
    fitted_to            kept instructions of the longest stream
    generated_to         instructions to generate for the target, as by this fit alone; with a 90 % interval
    by_form              the same by each form
    """

    side: str
    form: Form
    level: float
    slope: float
    held_out: dict[Form, float]
    fitted_to: int
    target: int
    generated_to: float
    low: float
    high: float
    by_form: dict[Form, float]


class CostAt(msgspec.Struct, frozen=True, kw_only=True):
    """What a side takes to keep so many; measured where all streams got so far, else extrapolated for those that did
    not."""

    side: str
    kept: int
    measured: bool
    calls: StudyInterval
    generated: StudyInterval


class SavedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Calls saved for each kept instruction, as a share of the baseline's: by `side` against `baseline`.

    kept            of each stream: the most that both sides reached, or the target
    by_other_form   where extrapolated, the mean by each form
    with_answers    the mean where each kept instruction takes one more call, for its answer
    """

    side: str
    baseline: str
    kept: tuple[int, ...]
    extrapolated: bool
    saved: StudyInterval
    with_answers: float
    by_other_form: dict[Form, float] = {}


class SweepPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold, at as many kept as all sides of all streams reached."""

    side: str
    threshold: float
    kept: int
    calls_per_1000_kept: StudyInterval
    kept_share: StudyInterval = msgspec.field(name="yield")


class YieldStudy(msgspec.Struct, frozen=True, kw_only=True):
    """The study.

    saved             by `sedi` at 0.85 against `self-instruct` at 0.7, as measured
    saved_threshold   of this, by the threshold alone
    saved_target      extrapolated to the target, where a stream does not reach it
    """

    target: int
    streams: tuple[YieldStream, ...]
    curves: tuple[FilterCurve, ...]
    fits: tuple[SideFit, ...]
    costs: tuple[CostAt, ...]
    sweep: tuple[SweepPoint, ...]
    saved: SavedCalls
    saved_threshold: SavedCalls
    saved_target: SavedCalls
    saved_target_threshold: SavedCalls
