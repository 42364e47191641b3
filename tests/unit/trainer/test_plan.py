"""The ranks' plan: what all have at hand decides, the same however many they are."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from consumers.trainer.distributed.plan import RankOffer, decide, decide_logged
from streams.core.batches import clusters_of_rank

CLUSTERS = 4
WAITING = st.fixed_dictionaries({cluster: st.integers(0, 5) for cluster in range(CLUSTERS)})


def shared(waiting: Mapping[int, int], ranks: int, **state: bool) -> list[RankOffer]:
    """The offers of so many ranks that hold these rows between them."""
    shares = [clusters_of_rank(rank, ranks, CLUSTERS) for rank in range(ranks)]
    return [RankOffer({cluster: waiting[cluster] for cluster in share}, **state) for share in shares]


@given(WAITING, st.sampled_from([4, 8, 12]), st.booleans(), st.booleans(), st.booleans())
def test_any_number_of_ranks_decides_as_one_does(
    waiting: dict[int, int], size: int, at_end: bool, impatient: bool, last: bool
) -> None:
    alone, two, four = (
        decide(shared(waiting, ranks, at_end=at_end, impatient=impatient), size, last_batch=last) for ranks in (1, 2, 4)
    )
    assert alone == two == four


def test_a_batch_is_taken_only_when_every_cluster_has_a_row() -> None:
    assert decide(shared({0: 1, 1: 2, 2: 1, 3: 1}, 2), CLUSTERS, last_batch=False) == ((0, 0), (1, 1), (2, 2), (3, 3))
    assert decide(shared({0: 9, 1: 9, 2: 9, 3: 0}, 2), CLUSTERS, last_batch=False) == "wait"


def test_a_slot_borrows_from_the_fullest_cluster_of_any_rank() -> None:
    waiting = {0: 0, 1: 2, 2: 1, 3: 5}
    borrowed = ((0, 3), (1, 1), (2, 2), (3, 3))
    assert decide(shared(waiting, 2, at_end=True), CLUSTERS, last_batch=False) == borrowed
    one_is_impatient = [RankOffer({0: 0, 1: 2}), RankOffer({2: 1, 3: 5}, impatient=True)]
    assert decide(one_is_impatient, CLUSTERS, last_batch=False) == borrowed


def test_the_stream_ends_only_when_all_ranks_are_at_its_end() -> None:
    one_is_at_its_end = [RankOffer({0: 1, 1: 0}, at_end=True), RankOffer({2: 0, 3: 0})]
    assert decide(one_is_at_its_end, CLUSTERS, last_batch=True) == "wait"
    ended = shared({0: 1, 1: 0, 2: 0, 3: 0}, 2, at_end=True)
    assert decide(ended, CLUSTERS, last_batch=False) == "end"
    assert decide(ended, CLUSTERS, last_batch=True) == ((0, 0),)
    assert decide(shared(dict.fromkeys(range(4), 0), 2, at_end=True), CLUSTERS, last_batch=True) == "end"


def test_one_rank_that_is_asked_to_stop_stops_all_before_anything_is_taken() -> None:
    full = {0: 1, 1: 1}, {2: 1, 3: 1}
    assert decide([RankOffer(full[0]), RankOffer(full[1], stop=True)], CLUSTERS, last_batch=False) == "stop"
    assert decide_logged([RankOffer(full[0], ready=True), RankOffer(full[1], ready=True, stop=True)]) == "stop"


def test_a_logged_batch_is_taken_when_every_rank_has_its_rows_and_missing_when_one_has_read_all() -> None:
    ready, reading = RankOffer({}, ready=True), RankOffer({})
    assert decide_logged([ready, ready]) == "take"
    assert decide_logged([ready, reading]) == "wait"
    assert decide_logged([RankOffer({}, ready=True, at_end=True), reading]) == "wait"
    assert decide_logged([ready, RankOffer({}, at_end=True)]) == "missing"
