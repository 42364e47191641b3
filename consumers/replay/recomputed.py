"""Aggregates of an evaluation that an audit computes again, from verdicts that it decided again.

The folds read `RedecidedSource`, so a verdict that was altered on the log does not count here; what is recorded instead
is among the divergences.
"""

from consumers.evaluation.report import evaluation_report
from consumers.evaluation.results import EvaluationReport
from consumers.replay.redecided import RedecidedSource
from infra.log.source import Source


def recomputed(source: Source) -> EvaluationReport:
    """The report of everything on the log."""
    return evaluation_report(RedecidedSource(source))
