"""A lane that spends without yield is stopped, by its last decided generations alone."""

import pytest

from producers.generate.stall_guard import StallGuard
from producers.generate.yield_window import YieldWindow
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered, InstructionsGenerated, InstructionsRejected, Usage
from tests.unit.producers.test_progress import generated, rejected


def spending(number: int, tokens: int | None) -> InstructionsGenerated:
    usage = None if tokens is None else Usage(prompt_tokens=tokens - 1, completion_tokens=1)
    answer = CallAnswered(
        request_id=str(number),
        attempt=1,
        model="m",
        raw="",
        finish_reason="stop",
        usage=usage,
        cost_usd=None,
        latency_s=0.0,
    )
    plain = generated(number)
    return InstructionsGenerated(
        **{name: getattr(plain, name) for name in plain.__struct_fields__} | {"answers": (answer,)}
    )


def decided(offset: int, generated_total: int, kept_total: int) -> InstructionsRejected:
    plain = rejected(offset, kept_total)
    fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
    return InstructionsRejected(**fields | {"generated_total": generated_total})


def rolled(window: int, *kept: int, each: int = 10, tokens: int | None = 100) -> YieldWindow:
    """A window over generations of `each` instructions, of which so many were kept."""
    rolling = YieldWindow(window)
    for offset, _ in enumerate(kept):
        rolling.generate(spending(offset, tokens), offset)
        rolling.decide(decided(offset, each * (offset + 1), sum(kept[: offset + 1])))
    return rolling


def test_the_yield_is_of_the_window_alone() -> None:
    guard = StallGuard(min_yield=0.5, window=3)
    assert guard.stalled(rolled(3, 10, 0, 0)) is None, "not a whole window yet"
    found = guard.stalled(rolled(3, 10, 10, 0, 4, 3))
    assert found is not None
    assert (found.rule, found.value, found.floor) == ("min_yield", pytest.approx(7 / 30), 0.5)
    assert "23.3 %" in found.reason
    assert guard.stalled(rolled(3, 0, 0, 0, 5, 5, 5)) is None, "a bad beginning is forgotten"


def test_generations_that_write_nothing_have_no_yield() -> None:
    assert StallGuard(min_yield=0.05, window=2).stalled(rolled(2, 0, 0, 0, each=0)) is not None


def test_tokens_for_a_kept_row_are_limited() -> None:
    guard = StallGuard(max_tokens_per_kept=60.0, window=2)
    assert guard.stalled(rolled(2, 0, 2, 2)) is None
    found = guard.stalled(rolled(2, 9, 2, 1))
    assert found is not None
    assert (found.rule, found.value) == ("max_tokens_per_kept", pytest.approx(200 / 3))
    none = guard.stalled(rolled(2, 9, 0, 0))
    assert none is not None
    assert none.value is None
    assert guard.stalled(rolled(2, 9, 0, 0, tokens=None)) is None, "not known is not too many"


def test_the_order_in_which_verdicts_and_generations_are_read_does_not_matter() -> None:
    verdicts = [decided(offset, 10 * (offset + 1), offset) for offset in range(9)]
    late, early = YieldWindow(3), YieldWindow(3)
    for offset in range(9):
        early.generate(spending(offset, offset + 1), offset)
    for verdict in verdicts:
        late.decide(verdict)
        early.decide(verdict)
    for offset in range(9):
        late.generate(spending(offset, offset + 1), offset)
    assert late == early
    assert early.tokens_per_kept() == (7 + 8 + 9) / 3


def test_a_floor_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        StallGuard(min_yield=1.5)
