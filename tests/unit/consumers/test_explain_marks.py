"""What is marked in texts: the tokens two have in common, the nearest row, the instruction in the raw answer."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer, _lcs_table

from consumers.explain.nearest import NearestSearch
from consumers.explain.spans import instruction_span
from infra.log.record import Record
from schemas.events import Instruction, InstructionKept
from streams.core.parse.alpaca import parse_alpaca
from streams.core.parse.lists import parse_list
from streams.core.parse.structured import parse_structured
from streams.core.similarity.index import RougeLIndex
from streams.core.similarity.lcs import common_subsequence, token_spans
from streams.core.similarity.tokenize import rouge_tokens, unicode_tokens

WORDS = st.lists(st.sampled_from("abcde"), max_size=25)
TEXTS = st.text(st.sampled_from("aB1 .-éÉ\u0301İßﬁΣς東京ｆ\n"), max_size=30) | st.text(max_size=30)


# -- tokens in common ----------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(WORDS, WORDS)
def test_the_marked_tokens_are_a_common_subsequence_as_long_as_rouge_scores(a: list[str], b: list[str]) -> None:
    pairs = common_subsequence(a, b)

    assert len(pairs) == _lcs_table(a, b)[-1][-1]
    assert [a[mine] for mine, _ in pairs] == [b[other] for _, other in pairs]
    for places in zip(*pairs, strict=True):
        assert sorted(set(places)) == list(places)


@settings(max_examples=500, deadline=None)
@given(TEXTS, st.sampled_from([rouge_tokens, unicode_tokens]))
def test_each_span_holds_its_token_alone_and_spans_come_in_order(text: str, tokenizer) -> None:  # type: ignore[no-untyped-def]
    spans = token_spans(text, tokenizer)

    if spans is not None:
        assert [tokenizer(text[start:end]) for start, end in spans] == [[token] for token in tokenizer(text)]
        bounds = [bound for span in spans for bound in span]
        assert bounds == sorted(bounds)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_every_token_of_an_ascii_text_is_found(text: str) -> None:
    spans = token_spans(text, rouge_tokens)

    assert spans is not None
    assert [text[start:end].lower() for start, end in spans] == rouge_tokens(text)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Straße, (東京)", ["Straße", "東", "京"]),
        ("don't  stop", ["don", "t", "stop"]),
        ("e\u0301t é", ["e\u0301t", "é"]),
    ],
)
def test_tokens_of_other_scripts_are_found_without_what_is_around_them(text: str, marked: list[str]) -> None:
    spans = token_spans(text, unicode_tokens)

    assert spans is not None
    assert [text[start:end] for start, end in spans] == marked


# -- the nearest row -----------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, max_size=12), WORDS, st.integers(0, 2**32))
def test_the_nearest_row_is_the_decider_s_in_whatever_order_rows_come(
    rows: list[list[str]], query: list[str], order: int
) -> None:
    index = RougeLIndex(0.0)
    for place, words in enumerate(rows):
        index.add(str(place), " ".join(words), (place // 3, place % 3))
    expected = index.nearest_above(" ".join(query), (3, 1))
    search = NearestSearch(" ".join(query), (3, 1), rouge_tokens)
    places = list(range(len(rows)))
    random.Random(order).shuffle(places)
    for place in places:
        search.row(*kept(place, " ".join(rows[place])))

    found = search.result()

    assert (None if found is None else (found.similarity, found.id)) == expected
    if found is not None:
        scores = RougeScorer(["rougeL"]).score(found.instruction, " ".join(query))
        assert found.similarity == scores["rougeL"].fmeasure
        assert found.tokens == (len(query), len(found.instruction.split()))
        assert found.marks is not None
        assert found.its_marks is not None
        assert len(found.marks) == len(found.its_marks) == found.lcs


def kept(place: int, text: str) -> tuple[InstructionKept, Record]:
    row = InstructionKept(
        id=str(place),
        instruction=text,
        input="",
        output="",
        generation_id="g",
        generated_offset=place // 3,
        place=place % 3,
        cluster=0,
        classifier_offset=0,
    )
    return row, Record("kept", 0, place, 0, None, None)


# -- the instruction in the raw answer -----------------------------------------------------------------------------


def spans(raw: str, tasks: list[str] | tuple[Instruction, ...]) -> list[str | None]:
    instructions = [task if isinstance(task, Instruction) else Instruction(instruction=task) for task in tasks]
    found = [instruction_span(raw, instructions, place) for place in range(len(instructions))]
    return [None if span is None else raw[slice(*span)] for span in found]


def test_instructions_of_a_list_of_tasks_are_found_each_at_its_label() -> None:
    raw = (
        " Say hello again.\n3. Input:\n<noinput>\n3. Output:\nName a bird. Say hello.\n###\n"
        "4. Instruction: Name a bird.\n4. Input:\n<noinput>\n4. Output:\nA wren.\n###\n"
        "**5. Instruction:** Name a bird.\n5. Input:\n<noinput>\n5. Output:\nA robin."
    )
    instructions, _ = parse_alpaca(raw, parser="strict", first_number=3, cut=False)

    starts = [instruction_span(raw, instructions, place) for place in range(3)]

    assert spans(raw, instructions) == ["Say hello again.", "Name a bird.", "Name a bird."]
    assert [start and raw[: start[0]].rstrip(" *:")[-14:] for start in starts][1:] == [
        "4. Instruction",
        "5. Instruction",
    ]


def test_items_of_a_list_are_found_whatever_their_white_space() -> None:
    raw = ' Name a bird.\n3. **Say\n hello  twice.**\n4) "Name a bird."\n'
    items, _ = parse_list(raw, first_number=2, cut=False)

    assert len(items) == 3
    assert spans(raw, list(items)) == ["Name a bird.", "Say\n hello  twice.", "Name a bird."]


def test_instructions_in_json_are_found_as_they_are_escaped_there() -> None:
    texts = ['Say "hi"\tto the Zoë.', "Name a bird."]
    raw = json.dumps({"tasks": [{"instruction": text, "input": "", "output": "x"} for text in texts]})
    instructions, _ = parse_structured(raw, cut=False)

    assert [task.instruction for task in instructions] == texts
    assert spans(raw, instructions) == [json.dumps(texts[0])[1:-1], texts[1]]


def test_an_instruction_is_found_at_its_label_and_not_where_it_is_spoken_of() -> None:
    raw = " Say hello.\n3. Output:\nhi\n###\nNext: Name a bird.\n###\n4. Instruction: Name a bird.\n4. Output:\nA wren."
    tasks = [Instruction(instruction="Say hello.", output="hi"), Instruction(instruction="Name a bird.")]

    assert instruction_span(raw, tasks, 1) == (raw.rindex("Name"), raw.rindex("Name") + len("Name a bird."))


def test_an_instruction_that_is_not_in_the_answer_is_not_found() -> None:
    assert spans("1. Name a bird.", ["Name a fish.", "Name a bird.", ""]) == [None, "Name a bird.", None]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(st.sampled_from('ab #*:\n1."'), min_size=1, max_size=12), min_size=1, max_size=4), st.booleans()
)
def test_what_is_found_reads_as_the_instruction(texts: list[str], strict: bool) -> None:
    raw = "".join(
        f"###\n{place + 3}. Instruction: {text}\n{place + 3}. Input:\nnone\n{place + 3}. Output:\nb\n"
        for place, text in enumerate(texts)
    )
    instructions, _ = parse_alpaca(raw, parser="strict" if strict else "faithful", first_number=3, cut=False)

    for found, task in zip(spans(raw, instructions), instructions, strict=True):
        assert found is not None or not task.instruction
        assert found is None or " ".join(found.split()) == " ".join(task.instruction.split())
