"""The study's answers in sentences, each with its figures."""

from consumers.yield_study.results import SavedCalls, SideFit, StudyInterval, YieldStudy

PAPER = 0.36
"""Calls that SEDI-Instruct saves for 10,000 kept instructions, by its Fig. 8(a)."""


def sentences(study: YieldStudy) -> tuple[str, ...]:
    """What the study found, most important first."""
    saved, threshold = study.saved, study.saved_threshold
    found = [
        f"Of the calls for a kept instruction, {saved.side} saves {interval(saved.saved)} against {saved.baseline}, at "
        f"{_numbers(saved.kept)} kept ({_seeds(study)}: {_each(saved.saved)}).",
        f"By the threshold alone, {threshold.side} against {threshold.baseline}, it saves {interval(threshold.saved)}. "
        "The rest is that candidates are not compared with the seeds.",
        f"Where each kept instruction takes one more call, for its answer, it saves {percent(saved.with_answers)} of "
        "all calls.",
    ]
    return (*found, *_target(study), *(_fit(fit) for fit in study.fits))


def interval(found: StudyInterval) -> str:
    """A share as percentage with its interval."""
    if found.low is None or found.high is None:
        return percent(found.mean)
    return f"{percent(found.mean)} (95 % interval {100 * found.low:.1f} to {100 * found.high:.1f})"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _target(study: YieldStudy) -> tuple[str, ...]:
    at = study.saved_target
    compared = _against_paper(at, study.target)
    if not at.extrapolated:
        return (f"For {study.target:,} kept, which all streams reach, it saves {interval(at.saved)}. {compared}",)
    others = [100 * share for share in at.by_other_form.values()]
    form = next(fit.form for fit in study.fits if fit.side == at.baseline)
    return (
        f"Extrapolated to {study.target:,} kept, by the {form} form for {at.baseline}, it saves {interval(at.saved)}; "
        f"by one form or another {min(others):.1f} to {max(others):.1f} %. {compared}",
    )


def _against_paper(at: SavedCalls, target: int) -> str:
    if target != 10_000:
        return ""
    low, high = at.saved.low, at.saved.high
    if low is None or high is None:
        return f"The paper has {100 * PAPER:.0f} %."
    return f"The paper's {100 * PAPER:.0f} % is {'inside' if low <= PAPER <= high else 'outside'} this interval."


def _fit(fit: SideFit) -> str:
    errors = ", ".join(f"{form} {100 * error:+.1f} %" for form, error in fit.held_out.items())
    held_out = f" Candidates predicted for the held-out last fifth, against those needed: {errors}." if errors else ""
    return (
        f"{fit.side}: yield = {_formula(fit)} after k kept, fitted to {fit.fitted_to:,} kept. By it, {fit.target:,} "
        f"kept take {fit.generated_to:,.0f} generated (90 % interval {fit.low:,.0f} to {fit.high:,.0f}).{held_out}"
    )


def _formula(fit: SideFit) -> str:
    level, slope = f"{fit.level:.3f}", f"{fit.slope:.3g}"
    if not fit.slope:
        return level
    match fit.form:
        case "constant":
            return level
        case "hyperbolic":
            return f"{level} / (1 + {slope} k)"
        case "exponential":
            return f"{level} exp(-{slope} k)"
        case "power":
            return f"{level} (1 + k / 1000)^-{slope}"


def _seeds(study: YieldStudy) -> str:
    numbers = [stream.rng_seed for stream in study.streams]
    return f"rng seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _each(found: StudyInterval) -> str:
    return ", ".join(percent(value) for value in found.of)


def _numbers(kept: tuple[int, ...]) -> str:
    low, high = min(kept), max(kept)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
