"""When the filter's classifier is fitted again, on which rows, and from which offset on it is used.

A fit is due after the record whose rows pass the next mark (`streams.core.cluster_fit`). It is made of the rows kept up
to that record, and in force a number of records later (`lead`), so that the worker can fit it while it decides on
those. Until it is in force, no other one is due. So both follow from the log alone, and a crash changes neither.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice, takewhile

import msgspec

from schemas.events import ClassifierFitted
from schemas.policy import REFIT_ROWS, Policy
from schemas.seeds import SeedTask
from streams.core.cluster_fit import fit, marks_passed, next_refit, sample
from streams.core.clusters import ClusterModel
from streams.core.embeddings import Embedder
from streams.core.filter_state import DueFit, FilterState


class FitInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a fit is a function of, beside the policy.

    texts         a sample of the kept rows' instructions, in order (`streams.core.cluster_fit.sample`)
    sizes         rows in each cluster
    rows          their number
    from_offset   from which on the fit is in force
    """

    texts: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: int
    from_offset: int


def lead(policy: Policy, rows: int) -> int:
    """Records of `generated` between the one after which a fit on so many rows is due, and the first that uses it.

    A fit takes the longer the more rows there are. The delay is at most one record for every REFIT_ROWS of them, in
    which far fewer rows come than the tenth or more by which they have to grow until the next fit. It never shrinks, so
    two fits are never for the same offset.
    """
    return min(policy.refit_lead, rows // REFIT_ROWS)


def due_fit(state: FilterState) -> DueFit | None:
    """The fit that is due, also before it is in force. No row may wait for its cluster (`decider.classify`)."""
    if state.due_fit is None and state.next_fit is not None and len(state.kept) >= state.next_fit:
        rows = iter(state.kept.values())
        passing = next(islice(rows, state.next_fit - 1, None))
        after = max(state.classifier_offset - 1, passing.generated_offset)
        count = state.next_fit + sum(1 for _ in takewhile(lambda row: row.generated_offset <= after, rows))
        state.due_fit = DueFit(count, after + 1 + lead(state.policy, count))
        if state.due_fit.from_offset <= state.applied:  # nobody asked in time
            state.due_fit = DueFit(len(state.kept), state.applied + 1)
    return state.due_fit


def fit_input(state: FilterState, due: DueFit) -> FitInput:
    """The input of a fit that is due, with no reference to the state."""
    rows = list(islice(state.kept.values(), due.rows))
    in_cluster = Counter(row.cluster for row in rows)
    return FitInput(
        texts=tuple(row.instruction for row in sample(rows)),
        sizes=tuple(in_cluster[cluster] for cluster in range(state.policy.clusters)),
        rows=due.rows,
        from_offset=due.from_offset,
    )


def fitted(policy: Policy, given: FitInput, embedder: Embedder | None = None) -> ClassifierFitted:
    """The classifier of a fit; `embedder` as in `initial_state`."""
    return ClassifierFitted(
        from_offset=given.from_offset,
        fitted_on="kept",
        texts=given.rows,
        kept_total=given.rows,
        classifier=fit(given.texts, policy, given.sizes, embedder),
    )


def due_classifier(state: FilterState) -> ClassifierFitted | None:
    """The classifier that comes into force with the next generation, fitted now; None: the present one stays."""
    due = due_fit(state)
    if due is None or due.from_offset > state.applied + 1:
        return None
    return fitted(state.policy, fit_input(state, due), state.embedder)


def first_classifier(policy: Policy, seeds: Iterable[SeedTask], embedder: Embedder | None = None) -> ClassifierFitted:
    """The classifier that a run starts with, fitted on its seeds; `embedder` as in `initial_state`."""
    texts = [seed.instruction for seed in seeds]
    return ClassifierFitted(
        from_offset=0,
        fitted_on="seeds",
        texts=len(texts),
        kept_total=0,
        classifier=fit(texts, policy, embedder=embedder),
    )


def use_classifier(state: FilterState, event: ClassifierFitted) -> FilterState:
    """The state with another classifier (the same object)."""
    state.model = ClusterModel(event.classifier, state.embedder)
    state.classifier_offset = event.from_offset
    state.fits = marks_passed(state.policy, event.kept_total)
    state.next_fit = next_refit(state.policy, state.fits)
    state.due_fit = None
    return state
