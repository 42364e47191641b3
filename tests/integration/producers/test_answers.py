"""A model answers each prompt of a set once: an endpoint, a model on this machine, or a file of answers."""

from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from infra.models.identity import identify
from infra.models.templates import Template
from producers.backends.base import Sampling
from producers.calls.limits import Limits
from producers.evaluation.local_models import LocalModels
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import CallStarted
from tests.integration.producers.evaluation_driver import EvaluationRig, file_model, prompts
from tests.unit.trainer.tiny import save_tiny

SHORT = Sampling(max_tokens=8)


@pytest.fixture
def rig(broker: TemporaryBroker, run: str, tmp_path: Path) -> EvaluationRig:
    made = EvaluationRig(broker.settings, run, tmp_path)
    made.configure()
    return made


def test_recorded_answers_are_read_once_and_a_second_start_asks_only_what_is_left(rig: EvaluationRig) -> None:
    raws = ["It is 0.", "<think>Hm.</think>It is 1.", "  ", *(f"It is {n}." for n in range(3, 8))]
    recorded, asked = rig.recorded(raws), prompts(8)
    some = rig.answer(asked, recorded=recorded, limits=Limits(max_calls=3))
    assert (some.calls, some.written, some.missing, some.complete) == (3, 3, 5, False)
    rest = rig.answer(asked, recorded=recorded)
    assert (rest.calls, rest.written, rest.missing, rest.complete) == (5, 5, 0, True)
    assert rest.outcomes == {"answered": 7, "empty": 1}
    none = rig.answer(asked, recorded=recorded)
    assert (none.calls, none.written, none.outcomes) == (0, 0, rest.outcomes)

    found = rig.given()
    assert [event.prompt_id for event in found] == [prompt.id for prompt in asked.prompts]
    assert [event.text for event in found] == ["It is 0.", "It is 1.", "", *(f"It is {n}." for n in range(3, 8))]
    assert (found[2].outcome, found[2].reason) == ("empty", "the answer is empty")
    assert [event.references for event in found] == [prompt.references for prompt in asked.prompts]
    assert {event.asked.sha256 for event in found} == {asked.sha256}
    starts = rig.events("calls", CallStarted)
    assert [event.number for event in starts] == list(range(8)), "a prompt's place in the set is its number"
    assert len({event.lane for event in starts}) == 1
    assert starts[0].lane.startswith("eval/answers/")
    first = rig.records("answers")[0]
    assert first.decoded is not None
    assert first.id == first.decoded.key == ids.answer_id(found[0].model.key, found[0].asked.key, "q0")
    assert first.decoded.meta.causation_id == ids.child(found[0].answers[0].request_id, "answered/1")


@pytest.mark.parametrize("template", ["chat", "alpaca"])
def test_a_model_on_this_machine_answers_in_the_template_that_it_was_trained_in(
    rig: EvaluationRig, template: Template
) -> None:
    folder = save_tiny(rig.folder / "tiny", chat=template == "chat")
    model = identify(folder, "tiny")
    with LocalModels() as models:
        for name in ("one", "two"):
            asked = prompts(3, name)
            summary = rig.answer(asked, model, folder=folder, template=template, sampling=SHORT, models=models)
            assert (summary.calls, summary.missing) == (3, 0)
    found = rig.given()
    assert {event.asked.template for event in found} == {template}
    assert {event.asked.parameters["max_tokens"] for event in found} == {8}
    assert found[0].answers[0].usage is not None
    assert [event.text for event in found[:3]] == [event.text for event in found[3:]], "greedy answers are the same"
    other = rig.answer(prompts(3, "one"), model, folder=folder, template=template, sampling=SHORT, system="Be brief.")
    assert other.calls == 3, "another system prompt is another condition"
    longer = [event.answers[0].usage for event in rig.given()]
    assert longer[6] is not None
    assert longer[0] is not None
    assert longer[6].prompt_tokens > longer[0].prompt_tokens


def test_a_file_of_answers_is_joined_by_its_prompts_and_what_it_lacks_is_counted(rig: EvaluationRig) -> None:
    asked = prompts(4)
    rows = [
        {"instruction": "What is 3?\n", "input": "in words", "response": "Three."},
        {"instruction": "What is 0?\n\nin words", "output": "Zero.", "generator": "other"},
        {"instruction": "What is 1?", "output": "", "generator": "other"},
        {"instruction": "What is 99?", "output": "Not asked."},
    ]
    file = rig.lines(rows, "other.jsonl")
    model = file_model(file)
    summary = rig.answer(asked, model, answers=file)
    assert (summary.written, summary.missing, summary.calls, summary.complete) == (3, 1, 0, True)
    assert summary.outcomes == {"answered": 2, "empty": 1}
    assert rig.answer(asked, model, answers=file).written == 0
    assert [(event.prompt_id, event.text, event.answers) for event in rig.given()] == [
        ("q0", "Zero.", ()),
        ("q1", "", ()),
        ("q3", "Three.", ()),
    ]
    with pytest.raises(ConfigurationError, match="answer to none of the 1 prompts"):
        rig.answer(prompts(3, "x"), model, answers=rig.lines(rows[3:], "none.jsonl"), limit=1)
