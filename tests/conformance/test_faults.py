"""After every kind of fault that a generator survives, the ledger equals the server's own books."""

import random
from collections import Counter
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from tests.conformance.any_server import FORMS
from tests.conformance.faults import Line, Outcome, play, table
from tests.conformance.forms import KINDS, Answered, Api
from tests.conformance.server import DISTURBANCES, Disturbed, known_forms

GENERATIONS, TIMEOUT_S = 150, 2.5


def test_the_books_of_a_disturbed_run_agree_with_the_servers(broker: TemporaryBroker, run: str, tmp_path: Path) -> None:
    outcome = play(broker.settings, run, tmp_path, Disturbed(seed=3), GENERATIONS, TIMEOUT_S)
    assert outcome.good, table(outcome)
    assert len(outcome.kinds) > len(DISTURBANCES) / 2


def test_a_single_token_that_differs_is_told() -> None:
    lines = [Line("calls made", 3, 3), Line("prompt tokens", 999_999, 1_000_000), Line("spend, USD", 0.1 + 0.2, 0.3)]
    outcome = Outcome(lines, Counter(plain=3), 1.0)
    assert [line.agrees for line in lines] == [True, False, True]
    assert not outcome.good
    assert table(outcome).count("DIFFER") == 2


@pytest.mark.parametrize("api", ["chat", "completion"])
def test_what_a_server_answers_depends_on_what_was_asked_and_how_often_and_not_on_when(api: Api) -> None:
    plan = Disturbed(seed=1)
    body = {"chat": b'{"messages": [{"content": "%d"}]}', "completion": b'{"prompt": "%d"}'}[api]
    requests = [(body % number, before) for number in range(40) for before in range(2)]
    first = {each: plan(*each, api) for each in requests}
    random.Random(0).shuffle(requests)
    assert {each: plan(*each, api) for each in requests} == first
    assert len({form.kind for form, _ in first.values()}) > 5
    assert {form.api for form, _ in first.values() if isinstance(form.want, Answered)} == {api}


def test_forms_of_any_server_are_of_known_kinds_and_differ_by_name() -> None:
    assert {form.kind for form in FORMS} <= KINDS.keys()
    assert len({form.id for form in FORMS}) == len(FORMS)


def test_a_kind_that_a_server_never_shows_is_taken_from_others() -> None:
    assert {form.server for form in known_forms("impossible usage", "vLLM", "chat")} >= {"Ollama", "LiteLLM"}
