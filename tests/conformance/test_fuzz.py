"""No reader of an answer raises; decisions are reproducible, and no token is lost."""

import json
import random

import pytest

from tests.conformance import fuzz
from tests.conformance.forms import Answered, Api
from tests.conformance.hostile import FRAGMENTS, Hostile

ANSWERS = 50  # in each way of asking


def test_made_answers_are_read_decided_and_audited_and_the_books_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "ANSWERS_A_LOG", ANSWERS)
    found, books = fuzz.play(ANSWERS * len(fuzz.WAYS), seed=7)
    assert fuzz.is_good(found, books), fuzz.table(found, books)
    assert found.kept > 0
    assert found.known_tasks > 0


@pytest.mark.parametrize("api", ["chat", "completion"])
def test_the_same_request_gets_the_same_answer_from_the_same_seed(api: Api) -> None:
    body = json.dumps({"prompt": "x"} if api == "completion" else {"messages": [{"content": "x"}]}).encode()
    for before in range(300):
        (form, payload), (again, same) = Hostile(1)(body, before, api), Hostile(1)(body, before, api)
        assert payload == same
        assert (form.id, form.reply(payload)) == (again.id, again.reply(payload))
        if isinstance(form.want, Answered):
            assert form.api == api


def test_hostile_texts_are_each_there_once() -> None:
    assert len(set(FRAGMENTS)) == len(FRAGMENTS)
    made = "".join(Hostile(1)(b'{"prompt": "x"}', before, "completion")[1].text for before in range(2_000))
    shown = [fragment for fragment in FRAGMENTS if fragment in made]
    assert len(shown) > 0.95 * len(FRAGMENTS)
    assert any("\ud800" <= character <= "\udfff" for character in made)


def test_what_is_drawn_does_not_touch_the_common_source_of_random_numbers() -> None:
    random.seed(5)
    before = random.getstate()
    Hostile(1)(b'{"prompt": "x"}', 0, "completion")
    assert random.getstate() == before
