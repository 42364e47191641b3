"""What the outcome of a training window, and the verdicts on the rows of its batch, mean: a phrase for people each."""

from collections import Counter
from collections.abc import Mapping

from schemas.events import CandidateVerdict, FeedbackOutcome, ReplaceSeeds

OUTCOMES: Mapping[FeedbackOutcome, str] = {
    "replaced": "seeds were replaced",
    "warm_up": "all steps are among the policy's warm_up_steps",
    "later_epoch": "only the first epoch feeds back",
    "no_metric": "no step has a finite value of the metric",
    "borrowed": "every batch has rows borrowed from another cluster, and feedback_borrowed is off",
    "no_candidates": "no row of the batch can become a seed",
    "no_victims": "no seed may be replaced: none has a score, or victim_max_score or min_showings keeps them",
}

VERDICTS: Mapping[CandidateVerdict, str] = {
    "taken": "it became a seed",
    "unknown_row": "the filter does not know it",
    "already_seed": "it is a seed, or was one",
    "unjudged": "it had no score by then, and one is needed for candidate_min_score",
    "low_score": "the judge's score is none, or below candidate_min_score",
    "similar_to_seed": "it is too similar to a seed",
    "similar_to_candidate": "it is too similar to a row of the batch that was taken before it",
    "over_limit": "rows before it took all of the window's max_replacements",
    "no_victim": "no seed was left that may be replaced",
}


def verdict_counts(command: ReplaceSeeds) -> dict[str, int]:
    """How many rows of the chosen batch got each verdict, in the order in which `VERDICTS` has them."""
    found = Counter(candidate.verdict for candidate in command.candidates)
    return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}
