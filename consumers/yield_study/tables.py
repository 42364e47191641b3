"""The study as tables: for the terminal, for Markdown, and in the results of `sedi eval study`."""

from consumers.evaluation.study_tables import StudyTable
from consumers.yield_study.results import StudyInterval, YieldStudy
from consumers.yield_study.sides import SEDI, SELF_INSTRUCT
from consumers.yield_study.words import percent, sentences


def yield_tables(study: YieldStudy) -> tuple[StudyTable, ...]:
    """The streams under both sides, the cost of so many kept, and the sweep; the sentences are notes of the first."""
    return _streams(study), _costs(study), _sweep(study)


def _streams(study: YieldStudy) -> StudyTable:
    ends = {(curve.rng_seed, curve.side): curve for curve in study.curves}
    rows = []
    for stream in study.streams:
        cells = [f"{stream.generated:,}", f"{stream.calls:,}", "–" if stream.tokens is None else f"{stream.tokens:,}"]
        for side in (SELF_INSTRUCT, SEDI):
            curve = ends[stream.rng_seed, side.name]
            cells += [f"{curve.kept:,}", percent(curve.kept / max(1, curve.generated))]
        rows.append((f"rng seed {stream.rng_seed}", (*cells, f"{stream.hours:.2f}")))
    sides = [name for side in (SELF_INSTRUCT, SEDI) for name in (f"kept, {side.name}", "yield")]
    first = study.streams[0]
    return StudyTable(
        title=f"Streams of {first.model} ({first.backend}), style {first.style}, and what two filters keep of them",
        columns=("generated", "calls", "tokens", *sides, "hours"),
        rows=tuple(rows),
        notes=sentences(study),
    )


def _costs(study: YieldStudy) -> StudyTable:
    rows = []
    for kept in dict.fromkeys(cost.kept for cost in study.costs):
        baseline, sedi = (cost for cost in study.costs if cost.kept == kept)
        saved = 1 - sedi.calls.mean / baseline.calls.mean
        cells = [f"{number(cost.calls)}{'' if cost.measured else ' *'}" for cost in (baseline, sedi)]
        generated = [f"{cost.generated.mean:,.0f}" for cost in (baseline, sedi)]
        rows.append((f"{kept:,}", (*cells, percent(saved), *generated)))
    return StudyTable(
        title="Calls to keep so many (Fig. 8)",
        columns=(
            *(f"calls, {side.name}" for side in (SELF_INSTRUCT, SEDI)),
            "saved",
            *(f"generated, {side.name}" for side in (SELF_INSTRUCT, SEDI)),
        ),
        rows=tuple(rows),
        notes=("* extrapolated: at least one stream did not get so far.",)
        if any(not cost.measured for cost in study.costs)
        else (),
    )


def _sweep(study: YieldStudy) -> StudyTable:
    rows = [(point.side, (percent(point.kept_share.mean), number(point.calls_per_1000_kept))) for point in study.sweep]
    kept = study.sweep[0].kept
    return StudyTable(
        title=f"All filters, at {kept:,} kept", columns=("yield", "calls per 1,000 kept"), rows=tuple(rows)
    )


def number(found: StudyInterval) -> str:
    """A number with its interval."""
    if found.low is None or found.high is None:
        return f"{found.mean:,.0f}"
    return f"{found.mean:,.0f} ({found.low:,.0f} to {found.high:,.0f})"
