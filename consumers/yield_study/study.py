"""The whole study from its streams: every side decided, fitted and compared."""

from collections.abc import Sequence

from consumers.folds.yield_curve import YieldPoint, reaching
from consumers.yield_study.results import CostAt, FilterCurve, SideFit, SweepPoint, YieldStream, YieldStudy
from consumers.yield_study.savings import SideFits, Streams, mean_over_seeds, saved_as_measured, saved_at
from consumers.yield_study.sides import ALL_SIDES, LOOSER, SEDI, SELF_INSTRUCT, SweepProgress, decide
from infra.log.run import configuration
from infra.log.source import Source
from schemas.errors import ConfigurationError, RunError
from schemas.events import InstructionsGenerated

_POINTS = 200
_FITTED = (SELF_INSTRUCT, LOOSER, SEDI)
_MILESTONES = (500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000)


def study_streams(
    sources: Sequence[Source], target: int, progress: SweepProgress = lambda what, done, of: None
) -> YieldStudy:
    """Decide each stream under each side, and compare.

    target   kept instructions that costs are extrapolated to

    Raises ConfigurationError without a stream, RunError when one has kept nothing.
    """
    if not sources:
        raise ConfigurationError("There is no stream to study. Make one first, or name its archive.")
    described, decided = [], []
    for number, source in enumerate(sources, start=1):
        described.append(_described(source))

        def shown(side: str, done: int, of: int, number: int = number) -> None:
            progress(f"stream {number} of {len(sources)} by {side}", done, of)

        decided.append(decide(source, ALL_SIDES, shown))
        if not decided[-1][SELF_INSTRUCT.name] or not decided[-1][SELF_INSTRUCT.name][-1].kept:
            raise RunError(f"{source.name} has no kept instruction. Make the stream longer, or leave it out.")
    streams = {side.name: [points[side.name] for points in decided] for side in ALL_SIDES}
    fits = {side.name: SideFits(streams[side.name]) for side in _FITTED}
    return YieldStudy(
        target=target,
        streams=tuple(described),
        curves=tuple(
            FilterCurve(
                rng_seed=stream.rng_seed,
                side=side.name,
                threshold=side.threshold,
                kept=points[side.name][-1].kept,
                generated=points[side.name][-1].generated,
                calls=points[side.name][-1].calls,
                points=_thinned(points[side.name]),
            )
            for stream, points in zip(described, decided, strict=True)
            for side in ALL_SIDES
        ),
        fits=tuple(_fit(name, fit, target) for name, fit in fits.items()),
        costs=tuple(_costs(fits, target)),
        sweep=tuple(_sweep(streams)),
        saved=saved_as_measured(SEDI.name, SELF_INSTRUCT.name, streams),
        saved_threshold=saved_as_measured(LOOSER.name, SELF_INSTRUCT.name, streams),
        saved_target=saved_at(SEDI.name, SELF_INSTRUCT.name, fits, target),
        saved_target_threshold=saved_at(LOOSER.name, SELF_INSTRUCT.name, fits, target),
    )


def _described(source: Source) -> YieldStream:
    configured, _ = configuration(source)
    first = last = None
    generations = generated = calls = 0
    tokens: int | None = 0
    event: InstructionsGenerated | None = None
    with source.open(("generated",)) as reading:
        for record in reading.rest():
            if not isinstance(record.event, InstructionsGenerated):
                continue
            event = record.event
            first = record.timestamp_ms if first is None else first
            last = record.timestamp_ms
            generations += 1
            generated += len(event.instructions)
            calls += len(event.answers)
            for answer in event.answers:
                known = None if answer.usage is None else answer.usage.prompt_tokens + answer.usage.completion_tokens
                tokens = None if tokens is None or known is None else tokens + known
    if event is None or first is None or last is None:
        raise RunError(f"{source.name} has no generation. Make the stream again, or leave it out.")
    return YieldStream(
        source=source.name,
        run=configured.run,
        rng_seed=configured.policy.rng_seed,
        backend=event.backend,
        model=event.model,
        style=event.style,
        generations=generations,
        generated=generated,
        calls=calls,
        tokens=tokens,
        hours=(last - first) / 3_600_000,
    )


def _fit(name: str, fits: SideFits, target: int) -> SideFit:
    fit = fits.pooled
    low, high = fit.interval(0, target)
    return SideFit(
        side=name,
        form=fit.form,
        level=fit.level,
        slope=fit.slope,
        held_out=dict(fit.held_out),
        fitted_to=fit.fitted_to,
        target=target,
        generated_to=fit.candidates_to(0, target),
        low=low,
        high=high,
        by_form={form: fit.candidates_to(0, target, form) for form in fit.by_form},
    )


def _costs(fits: dict[str, SideFits], target: int) -> list[CostAt]:
    numbers = [number for number in _MILESTONES if number < target]
    return [
        CostAt(
            side=side.name,
            kept=kept,
            measured=all(points[-1].kept >= kept for points in fits[side.name].streams),
            calls=mean_over_seeds([fits[side.name].calls_to(n, kept) for n in range(len(fits[side.name].streams))]),
            generated=mean_over_seeds(
                [fits[side.name].generated_to(n, kept) for n in range(len(fits[side.name].streams))]
            ),
        )
        for kept in (*numbers, target)
        for side in (SELF_INSTRUCT, SEDI)
    ]


def _sweep(streams: Streams) -> list[SweepPoint]:
    common = min(points[-1].kept for side in ALL_SIDES for points in streams[side.name])
    found = []
    for side in sorted(ALL_SIDES, key=lambda side: (side.mode, side.threshold)):
        at = [point for points in streams[side.name] if (point := reaching(points, common)) is not None]
        found.append(
            SweepPoint(
                side=side.name,
                threshold=side.threshold,
                kept=common,
                calls_per_1000_kept=mean_over_seeds([1000 * point.calls / point.kept for point in at]),
                kept_share=mean_over_seeds([point.kept / point.generated for point in at]),
            )
        )
    return found


def _thinned(points: Sequence[YieldPoint]) -> tuple[YieldPoint, ...]:
    every = max(1, -(-len(points) // _POINTS))
    chosen = list(points[every - 1 :: every])
    return tuple(chosen if not len(points) % every else [*chosen, points[-1]])
