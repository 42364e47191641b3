"""What a generation was shown of the kept instructions is checked by drawing it again."""

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from consumers.replay.findings import AuditState, Findings
from consumers.replay.generations import PoolHistory, check_shown
from infra.log.record import Record
from schemas.events import InstructionKept, InstructionsGenerated, KeptShown
from schemas.policy import policy_for
from streams.core.kept_so_far import drawn
from streams.core.seeds import SeedPool
from tests.unit.core.conftest import generation, own_seeds

POLICY = policy_for("self-instruct", seeds_per_request=8)
POOL = SeedPool.of(own_seeds())
ROWS = tuple(
    InstructionKept(
        id=f"k{n}",
        instruction=f"Do {n}.",
        input="",
        output="",
        generation_id="g",
        generated_offset=n // 2,
        place=n % 2,
        cluster=0,
        classifier_offset=0,
    )
    for n in range(20)
)
NUMBER, OFFSET, AS_OF = 9, 9, 6


def told(**changes: object) -> InstructionsGenerated:
    """A generation that was shown six seeds and two of the fourteen rows kept by the verdict on offset 6."""
    rows = ROWS[: 2 * (AS_OF + 1)]
    ids = tuple(rows[slot].id for slot in drawn(len(rows), 8, POLICY.rng_seed, "main", NUMBER))
    sample = POOL.sample(8, POLICY.rng_seed, "main", NUMBER)
    event = generation(NUMBER, ["Sing."], lane="main", seed_ids=tuple(seed.id for seed in sample[:6]))
    return msgspec.structs.replace(event, **{"kept_shown": KeptShown(as_of=AS_OF, ids=ids), **changes})


def divergences(event: InstructionsGenerated) -> list[str]:
    state = AuditState(
        applied=OFFSET - 1, kept_total=18, generated_total=18, classifier_offset=0, commands_offset=None, seeds=None
    )
    findings = Findings(lambda: state)
    record = cast(Record, SimpleNamespace(topic="generated", partition=0, offset=OFFSET, id="g", timestamp_ms=0))
    check_shown(findings, record, event, POLICY, PoolHistory(POOL), ROWS)
    assert {found.kind for found in findings.divergences} <= {"seeds_shown"}
    return [found.what for found in findings.divergences]


def test_six_seeds_and_two_of_what_was_kept_by_then_pass() -> None:
    assert divergences(told()) == []


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (KeptShown(as_of=6, ids=("k0", "k19")), "other kept instructions"),
        (KeptShown(as_of=-1, ids=("k0", "k1")), "other kept instructions"),
        (KeptShown(as_of=OFFSET, ids=("k0", "k1")), "not decided yet"),
    ],
)
def test_what_could_not_have_been_drawn_is_a_divergence(shown: KeptShown, message: str) -> None:
    (found,) = divergences(told(kept_shown=shown))
    assert message in found


def test_seeds_in_the_place_of_kept_instructions_are_a_divergence() -> None:
    seeds = tuple(seed.id for seed in POOL.sample(8, POLICY.rng_seed, "main", NUMBER))
    (found,) = divergences(told(seed_ids=seeds))
    assert "other seeds" in found
    assert len(divergences(told(seed_ids=seeds, kept_shown=KeptShown(as_of=AS_OF, ids=())))) == 1
    assert divergences(told(seed_ids=seeds, kept_shown=None)) == []
