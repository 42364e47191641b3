"""The instructions kept as of any verdict follow from `generated` and `rejected`; samples of them are reproducible."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.events import InstructionsGenerated, InstructionsRejected, Rejection
from streams.core.kept_so_far import KeptSoFar, beside, drawn, most_shown
from tests.unit.core.conftest import generation

KEPT_BY = {0: 2, 1: 2, 2: 5, 3: 6}  # how many are kept by the verdict on each offset


def history() -> list[tuple[str, int, InstructionsGenerated | InstructionsRejected]]:
    """Four generations, the second a duplicate of the first, and their verdicts."""
    texts = [["a", "b", "c"], ["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]
    rejected: list[set[int]] = [{1}, set(), set(), {0}]
    made: list[tuple[str, int, InstructionsGenerated | InstructionsRejected]] = []
    for offset, (some, places) in enumerate(zip(texts, rejected, strict=True)):
        made.append(("generated", offset, generation(0 if offset == 1 else offset, some)))
        kept = 0 if offset == 1 else len(some) - len(places)
        verdict = InstructionsRejected(
            generation_id="g",
            generated_offset=offset,
            generated=len(some),
            kept=kept,
            generated_total=0,
            kept_total=0,
            rejections=tuple(Rejection(id="i", place=place, reason="similar") for place in places),
        )
        made.append(("rejected", offset, verdict))
    return made


def take(kept: KeptSoFar, offset: int, event: InstructionsGenerated | InstructionsRejected) -> None:
    if isinstance(event, InstructionsGenerated):
        kept.generated(offset, ids.generation_id(event.lane, event.number), event)
    else:
        kept.rejected(event)


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_two_topics_may_be_read_in_any_order_between_them_and_repeats_do_no_harm(turns: list[bool]) -> None:
    queues = {name: [one for one in history() if one[0] == name] for name in ("generated", "rejected")}
    kept = KeptSoFar()
    for first in turns:
        queue = queues["generated" if first else "rejected"] or queues["rejected" if first else "generated"]
        if queue:
            _, offset, event = queue.pop(0)
            take(kept, offset, event)
            take(kept, offset, event)

    assert kept.as_of == 3
    straight = KeptSoFar()
    for _, offset, event in history():
        take(straight, offset, event)
    for as_of in range(-1, 4):
        assert kept.shown(40, 7, "main", 5, as_of) == straight.shown(40, 7, "main", 5, as_of)


@pytest.mark.parametrize("as_of", list(KEPT_BY))
def test_a_draw_is_made_from_what_was_kept_by_then(as_of: int) -> None:
    kept = KeptSoFar()
    for _, offset, event in history():
        take(kept, offset, event)
    all_of_them = kept.shown(40, 42, "main", 9, as_of)
    assert sorted(one.instruction for one in all_of_them.kept) == list("acdefh")[: KEPT_BY[as_of]]
    assert all_of_them.recorded is not None
    assert all_of_them.recorded.as_of == as_of
    assert all_of_them.recorded.ids == tuple(one.id for one in all_of_them.kept)
    assert len(kept.shown(8, 42, "main", 9, as_of).kept) == 2


def test_what_later_verdicts_keep_changes_no_draw_as_of_an_earlier_one() -> None:
    kept, seen = KeptSoFar(), {}
    for _, offset, event in history():
        take(kept, offset, event)
        seen[kept.as_of] = kept.shown(8, 42, "main", 3)
    assert all(kept.shown(8, 42, "main", 3, as_of) == draw for as_of, draw in seen.items())


def test_before_the_first_verdict_nothing_is_shown_and_a_verdict_to_come_cannot_be_drawn_from() -> None:
    kept = KeptSoFar()
    shown = kept.shown(8, 42, "main", 0)
    assert shown.kept == ()
    assert shown.recorded is not None
    assert shown.recorded.as_of == -1
    with pytest.raises(ValueError, match="verdict on 3"):
        kept.shown(8, 42, "main", 0, 3)


def test_a_quarter_of_what_is_shown_may_be_kept_instructions_and_every_one_has_its_turn() -> None:
    assert [most_shown(count) for count in (3, 4, 8, 9)] == [0, 1, 2, 2]
    draws = Counter(place for number in range(500) for place in drawn(10, 8, 42, "main", number))
    assert len(draws) == 10
    assert all(60 < count < 145 for count in draws.values())
    assert [len(set(drawn(size, 8, 42, "main", 0))) for size in (0, 1, 2, 5)] == [0, 1, 2, 2]


def test_kept_instructions_take_the_last_places_of_the_seeds() -> None:
    assert beside(("s0", "s1", "s2"), 2) == ("s0",)
    assert beside(("s0",), 2) == ()
    assert beside(("s0", "s1"), 0) == ("s0", "s1")
