"""The simulated road past one filter: shards decide as a single index does, in every block and with every spread."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sharding import RarityOrder, Sequencer, Sharding, made, measure, single
from benchmarks.sharding_page import BEGIN, COLUMNS, END, page_text, write_page
from schemas.errors import ConfigurationError
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "one-filter.md"
WORDS = "a list of river names and the towns on it with 7 or 8 people".split()
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), min_size=1, max_size=40)


def decided(stream: list[str], shards: int, block: int, threshold: float, order: RarityOrder) -> Sequencer:
    sequencer = Sequencer(threshold, shards, order)
    for start in range(0, len(stream), block):
        sequencer.decide(stream[start : start + block])
    return sequencer


@given(texts, st.integers(1, 9), st.integers(1, 50), st.sampled_from((0.0, 0.5, 0.7, 0.85)), st.booleans())
def test_shards_decide_as_one_index(stream: list[str], shards: int, block: int, threshold: float, known: bool) -> None:
    order = RarityOrder(stream if known else [])
    assert decided(stream, shards, block, threshold, order).decisions == single(stream, threshold)[0]


@pytest.mark.parametrize("threshold", [0.7, 0.85])
def test_a_stream_with_near_copies_within_and_across_blocks_is_decided_alike(threshold: float) -> None:
    stream = made(1_500)
    stream[700:720] = stream[690:710]  # within a block of 64, and over its edge
    expected, _ = single(stream, threshold)
    sequencer = decided(stream, 8, 64, threshold, RarityOrder(stream[:200]))
    assert sequencer.decisions == expected
    kept = expected.count(None)
    assert 0 < kept < len(stream)
    assert kept < sequencer.copies < 8 * kept
    assert len(sequencer.shards[0].index) < kept


def test_a_text_is_asked_for_where_it_is_stored_in_every_process() -> None:
    places = Sequencer(0.85, 16, RarityOrder([])).of("name a river in the north of it")
    assert places == [1, 8, 13]  # as in the process that wrote this test: no hash with a salt
    assert Sequencer(0.85, 16, RarityOrder([])).of("") == []


def test_elements_that_many_ask_for_are_spread_over_the_shards() -> None:
    draw = random.Random(1)
    stream = [" ".join([*draw.choices("red green blue grey".split(), k=3), f"n{n % 7}"]) for n in range(400)]
    sequencer = decided(stream, 4, 64, 0.85, RarityOrder(stream))
    asks = [shard.asks for shard in sequencer.shards]
    assert max(asks) < 0.5 * sum(asks)


@pytest.fixture(scope="module")
def simulated() -> Sharding:
    return measure(400, (1, 4), lambda *_: None)


def test_the_page_has_the_programs_table_and_no_decision_differs(simulated: Sharding, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition(BEGIN)[2].partition(END)[0]
    header, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    assert tuple(header) == COLUMNS
    assert {row[1] for row in rows} == {"0"}
    copy = tmp_path / "page.md"
    copy.write_text(text, encoding="utf-8")
    write_page(copy, simulated)
    assert page_text(simulated) in copy.read_text(encoding="utf-8")
    assert all(each.different == 0 for each in simulated.sharded)
    copy.write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has no lines"):
        write_page(copy, simulated)
