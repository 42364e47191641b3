"""The outcomes of a training window and the verdicts on the rows of its batch, each explained in a phrase."""

from collections import Counter
from collections.abc import Mapping

from schemas.events import CandidateVerdict, FeedbackOutcome, ReplaceSeeds

OUTCOMES: Mapping[FeedbackOutcome, str] = {
    "replaced": "seeds were replaced",
    "warm_up": "all steps are among the policy's warm_up_steps",
    "later_epoch": "only the first epoch gives feedback",
    "no_metric": "no step has a finite value of the metric",
    "borrowed": "every batch has rows borrowed from another cluster, and feedback_borrowed is off",
    "no_candidates": "no row of the batch can become a seed",
    "no_victims": "no seed may be replaced: none has a score, or victim_max_score or min_showings keeps them",
}

VERDICTS: Mapping[CandidateVerdict, str] = {
    "taken": "it became a seed",
    "unknown_row": "the filter has not kept it",
    "already_seed": "it is a seed, or was one",
    "unjudged": "it was not judged by then, and candidate_min_score needs a score",
    "low_score": "the judge's score is missing or below candidate_min_score",
    "similar_to_seed": "it is too similar to a seed",
    "similar_to_candidate": "it is too similar to a row of the batch taken before it",
    "over_limit": "rows before it used up the window's max_replacements",
    "no_victim": "no seed was left that may be replaced",
}


def verdict_counts(command: ReplaceSeeds) -> dict[str, int]:
    """Rows of the chosen batch by verdict, in the order of `VERDICTS`."""
    found = Counter(candidate.verdict for candidate in command.candidates)
    return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}
