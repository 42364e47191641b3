"""Ids never change: logs of old runs are compared with new ones by them."""

from uuid import UUID

import pytest

from schemas import ids

GENERATION = ids.generation_id("default", 0)


@pytest.mark.parametrize(
    ("id", "literal"),
    [
        (ids.run_id("demo"), "2a03de4f-6ab8-521f-ac34-021a2685d229"),
        (GENERATION, "929d7158-f48f-518f-990e-011b42b229a0"),
        (ids.generation_id("second", 12), "27d1126c-ea4b-5102-8ec9-3acc1e962c21"),
        (ids.request_id(GENERATION, 0), "0a0e1b09-fc19-55a8-bf69-ce9754d1aac6"),
        (ids.instruction_id(GENERATION, 0), "1d0a81e0-bc76-5906-bfb0-eb8fc1c07108"),
        (ids.classifier_id(0), "8c4da6f9-1401-56ca-aa1e-e362576b781a"),
        (ids.window_id(1, 0), "4f898a29-a47a-59bb-9db0-4793b2c6749d"),
        (ids.verdict_id(0), "5c345931-256e-55c6-b1ac-e51a96fdf6d5"),
        (ids.command_id(0), "67b0fd95-4ad9-54f7-bd67-63d8c1fe6683"),
        (ids.child(GENERATION, "started/1"), "7d90f3bd-1c7a-5d50-ae11-10b417c92c12"),
    ],
)
def test_ids_are_what_they_always_were(id, literal):
    assert id == literal
    assert UUID(id).version == 5


def test_ids_of_different_causes_and_places_differ():
    made = [
        *(ids.generation_id(lane, number) for lane in ("a", "b", "a/1") for number in range(12)),
        *(ids.instruction_id(GENERATION, place) for place in range(12)),
        *(ids.request_id(GENERATION, step) for step in range(12)),
        *(ids.window_id(epoch, window) for epoch in (1, 2, 11) for window in (1, 2, 11)),
        *(make(number) for make in (ids.classifier_id, ids.verdict_id, ids.command_id) for number in range(12)),
    ]
    assert len(set(made)) == len(made)


def test_a_place_is_the_same_as_a_number_and_as_text():
    assert ids.child(GENERATION, 3) == ids.child(GENERATION, "3") == ids.instruction_id(GENERATION, 3)


def test_only_ids_have_children():
    with pytest.raises(ValueError, match="badly formed"):
        ids.child("default", 0)
