"""However tokens are packed into rows, each continuation is read after its own prefix and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from infra.models.likelihood.encoded import EncodedQuestion
from infra.models.likelihood.packing import LEAST_SHARED, PackedRow, batches, pack

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=6).map(tuple)
SHARED = tuple(range(LEAST_SHARED + 6))


@st.composite
def questions(draw: st.DrawFn) -> EncodedQuestion:
    begin = draw(st.sampled_from([(), SHARED, SHARED[:-3]]))
    return EncodedQuestion((*begin, *draw(TOKENS)), tuple(draw(st.lists(TOKENS, min_size=1, max_size=4))))


def seen(row: PackedRow, position: int) -> list[int]:
    """The tokens that the token at a position sees, in the order of their places."""
    related = row.ancestors()[row.segments[position]]
    visible = [
        at for at in range(len(row.tokens)) if related[row.segments[at]] and row.places[at] <= row.places[position]
    ]
    assert [row.places[at] for at in visible] == list(range(len(visible)))
    return [row.tokens[at] for at in visible]


@given(st.lists(questions(), min_size=1, max_size=6), st.booleans())
def test_each_token_is_predicted_from_its_own_text(asked: list[EncodedQuestion], share: bool) -> None:
    rows, cut = pack(asked, 10_000, share=share)
    found = set()
    for row in rows:
        for each in row.continuations:
            prefix, wanted = asked[each.question].prefix, asked[each.question].continuations[each.choice]
            assert each.tokens == wanted
            for number, position in enumerate(each.positions):
                assert seen(row, position) == [*prefix, *wanted[:number]]
            found.add((each.question, each.choice))
    assert (cut, len(found)) == (0, sum(len(each.continuations) for each in asked))
    assert [len(row.tokens) for row in rows] == sorted((len(row.tokens) for row in rows), reverse=True)


@given(st.lists(questions(), min_size=1, max_size=6), st.integers(6, 40))
def test_what_is_too_long_loses_its_beginning(asked: list[EncodedQuestion], longest: int) -> None:
    rows, cut = pack(asked, longest, share=True)
    for row in rows:
        for each in row.continuations:
            whole = [*asked[each.question].prefix, *each.tokens]
            assert seen(row, each.positions[-1]) == whole[-(longest + 1) :][:-1]
    assert cut == sum(len(each.prefix) + max(map(len, each.continuations)) > longest + 1 for each in asked)


def test_a_common_prefix_is_computed_once() -> None:
    asked = [EncodedQuestion((*SHARED, number, 5), ((1,), (2,), (3, 4, 5))) for number in range(10)]
    (row,), _ = pack(asked, 10_000, share=True)
    assert len(row.tokens) == len(SHARED) + 10 * (2 + 2)
    alone, _ = pack(asked, 10_000, share=False)
    assert [len(row.tokens) for row in alone] == [len(SHARED) + 4] * 10 + [len(SHARED) + 2] * 10
    assert all(row.is_chain for row in alone)


def test_batches_hold_all_rows_and_at_most_so_many_tokens() -> None:
    rows, _ = pack([EncodedQuestion((1,) * length, ((2,),)) for length in (9, 300, 4, 5, 50)], 10_000, share=False)
    found = list(batches(rows, 100))
    assert [[len(row.tokens) for row in batch] for batch in found] == [[300], [50, 9], [5, 4]]
