"""The report of a run's evaluations: all folds together, with what a reader must know beside the numbers."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from consumers.evaluation.answer_counts import counts_of, read_answers
from consumers.evaluation.comparisons import comparisons_of
from consumers.evaluation.differences import differences_of
from consumers.evaluation.generation import generation_scores
from consumers.evaluation.judged_pairs import judged_pairs
from consumers.evaluation.measured import read_measured
from consumers.evaluation.measures import losses_of, scores_of
from consumers.evaluation.notes import labels, notes_of
from consumers.evaluation.results import EvaluationReport
from consumers.evaluation.strengths import strengths_of
from consumers.folds.deduplicate import ReadProgress, no_progress
from infra.log.run import configuration
from infra.log.source import Source
from schemas.errors import ConfigurationError
from schemas.evaluation import EvaluatedModel
from streams.core.evaluation.outcomes import Equal


def evaluation_report(
    source: Source,
    *,
    models: Sequence[str] = (),
    equal: Equal = "tie",
    rng_seed: int = 0,
    progress: ReadProgress = no_progress,
) -> EvaluationReport:
    """Everything on a run's log about evaluations; without any, a report without rows.

    models     names or keys of the models to show, the first being the one that the others are compared with; none:
               all, in the order of the log
    equal      how equal scores in one order of a comparison count
    rng_seed   of the bootstraps
    progress   called with how many more records were read

    Raises RunError when there is no such run, ConfigurationError for a name that is not on the log.
    """
    configuration(source)
    measured = read_measured(source, progress)
    answers = read_answers(source, progress)
    known = measured.models | answers.models
    judged = judged_pairs(source, progress)
    generated = generation_scores(source, progress, rng_seed=rng_seed)
    chosen = _chosen(known, models)
    measured.folds = {place: fold for model in chosen for place, fold in measured.folds.items() if fold.model == model}
    unreadable = {"measured": measured.unreadable, **answers.unreadable}
    report = EvaluationReport(
        run=source.run,
        models={key: known[key] for key in chosen},
        benchmarks=scores_of(measured),
        held_out=losses_of(measured, rng_seed=rng_seed),
        differences=differences_of(measured, chosen, rng_seed=rng_seed),
        answers=tuple(found for found in counts_of(answers) if found.model in chosen),
        generation=tuple(score for score in generated if score.model in chosen),
        comparisons=tuple(
            found
            for found in comparisons_of(judged, equal=equal, rng_seed=rng_seed)
            if {found.first, found.second} <= set(chosen)
        ),
        strengths=tuple(
            found for found in strengths_of(judged, equal=equal, rng_seed=rng_seed) if found.model in chosen
        ),
        notes=(),
        unreadable={topic: number for topic, number in unreadable.items() if number},
    )
    return replace(report, notes=notes_of(report, labels(report.models)))


def is_empty(found: EvaluationReport) -> bool:
    """Whether nothing about an evaluation is on the log."""
    return not found.models and not found.unreadable


def _chosen(known: Mapping[str, EvaluatedModel], models: Sequence[str]) -> tuple[str, ...]:
    """Keys of the models to show."""
    if not models:
        return tuple(known)
    found: dict[str, None] = {}
    for wanted in models:
        keys = [key for key, model in known.items() if wanted in (key, model.name)]
        if not keys:
            there = ", ".join(known) or "none"
            raise ConfigurationError(f"No model {wanted!r} was evaluated on this run. There is {there}.")
        found |= dict.fromkeys(keys)
    return tuple(found)
