"""Every event type has an example in every version; together the examples are one run, decided by the core itself."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas import ids
from schemas.async_api import message_name, versions
from schemas.batches import BatchPrepared
from schemas.documents import DocumentRead
from schemas.envelope import decode, encode
from schemas.errors import MalformedEvent
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from schemas.events import (
    CallAnswered,
    ClassifierFitted,
    InstructionJudged,
    InstructionKept,
    InstructionsGenerated,
    InstructionsRejected,
    ReplaceSeeds,
    RunConfigured,
    TrainingLogged,
)
from schemas.generate import HERE
from schemas.registry import SPECS, spec_of
from schemas.topics import topic_specs
from streams.core import decider, feedback
from streams.core.judging import score_of
from streams.core.parse.answers import form_of, read
from streams.core.seeds import SeedPool

NAMES = [message_name(spec, version) for spec, version in versions()]
CURRENT = [message_name(spec, spec.version) for spec in SPECS.values()]


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HERE / "jsonschema" / f"{name}.json").read_text(encoding="utf-8"))
    return document


def test_every_event_has_one_example_and_one_schema_in_each_version(examples):
    assert sorted(examples) == sorted(NAMES)
    assert sorted(path.name.removesuffix(".json") for path in (HERE / "jsonschema").iterdir()) == sorted(NAMES)


def test_every_event_belongs_to_the_topic_that_declares_it_and_to_no_other():
    declared = {(event, topic.name) for topic in topic_specs() for event in topic.events}
    assert declared == {(spec.name, spec.topic) for spec in SPECS.values()}
    assert sum(len(topic.events) for topic in topic_specs()) == len(SPECS)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_it_is(examples, name):
    example = examples[name]
    assert example.headers["ce_type"] == f"sedi.{name}"
    assert example.headers["ce_subject"] == example.key
    assert message_name(spec_of(type(example.decoded().event)), example.decoded().version) == name


@pytest.mark.parametrize("name", CURRENT)
def test_an_example_of_the_current_version_is_written_again_as_it_was(examples, name):
    example = examples[name]
    found = example.decoded()
    key, value, headers = encode(found.event, found.key, found.meta)
    assert key.decode() == example.key
    assert json.loads(value) == example.value
    assert {name: text.decode() for name, text in headers} == example.headers


@pytest.mark.parametrize("name", NAMES)
def test_an_example_fits_the_schema_of_its_version(examples, name):
    jsonschema.Draft202012Validator.check_schema(schema(name))
    jsonschema.Draft202012Validator(schema(name)).validate(examples[name].value)


@pytest.mark.parametrize("name", CURRENT)
def test_without_a_required_field_neither_the_schema_nor_the_decoder_takes_an_example(examples, name):
    key, _, headers = examples[name].record()
    validator = jsonschema.Draft202012Validator(schema(name))
    for field in schema(name)["required"]:
        value = {given: content for given, content in examples[name].value.items() if given != field}
        assert not validator.is_valid(value), field
        with pytest.raises(MalformedEvent, match=f"missing required field `{field}`"):
            decode(key, json.dumps(value).encode(), headers)


@pytest.mark.parametrize("name", CURRENT)
def test_every_event_and_part_of_it_is_described(name):
    document = schema(name)
    for part in (document, *document.get("$defs", {}).values()):
        assert part["description"], part["title"]


# -- the examples are one run ----------------------------------------------------------------------------------------


@pytest.fixture
def told(examples):
    """The example of an event class in its current version, decoded."""
    return lambda cls: examples[message_name(spec_of(cls), spec_of(cls).version)].decoded().event


def test_the_examples_bear_the_ids_of_their_causes_and_places(examples, told):
    run = ids.run_id("demo")
    generation = ids.generation_id("default", 0)
    request = ids.request_id(generation, 0)
    window = ids.window_id(1, 0)
    kept = ids.instruction_id(generation, 0)
    answered = ids.answered_id(kept)
    judged = ids.judgement_id(kept, "accuracy/1/smollm2-135m-instruct")
    expected = {
        "RunConfigured.v1": ("demo", run, None),
        "ClassifierFitted.v1": ("demo", ids.classifier_id(0), run),
        "InstructionsReleased.v1": ("demo", ids.released_id(2), ids.answered_id(kept)),
        "RunStarted.v1": ("demo", ids.child(run, "place/2"), None),
        "CallFailed.v1": (request, ids.child(request, "failed/1"), ids.child(request, "started/1")),
        "CallStarted.v1": (request, ids.child(request, "started/2"), run),
        "CallAnswered.v1": (request, ids.child(request, "answered/2"), ids.child(request, "started/2")),
        "InstructionsGenerated.v1": (generation, generation, ids.child(request, "answered/2")),
        "InstructionKept.v1": (kept, kept, generation),
        "InstructionAnswered.v1": (kept, answered, ids.child(ids.request_id(answered, 0), "answered/1")),
        "InstructionJudged.v1": (kept, judged, ids.child(ids.request_id(judged, 0), "answered/1")),
        "InstructionsRejected.v1": (generation, ids.verdict_id(0), generation),
        "TrainingLogged.v1": (window, window, ids.instruction_id(generation, 3)),
        "ReplaceSeeds.v1": (window, ids.command_id(0), window),
        "RunStopped.v1": ("demo", ids.child(run, "place/3"), None),
        "GenerationHalted.v1": (
            "demo",
            ids.child(ids.verdict_id(0), "halted/default/min_yield/0.9"),
            ids.verdict_id(0),
        ),
    }
    twice = (
        "CallAnswered.v1",
        "CallFailed.v1",
        "CallStarted.v1",
        "ClassifierFitted.v1",
        "InstructionJudged.v1",
        "InstructionsGenerated.v1",
        "ReplaceSeeds.v1",
        "RunConfigured.v1",
        "TrainingLogged.v1",
    )
    expected |= {name.replace("v1", "v2"): expected[name] for name in twice}
    for name in ("CallStarted", "InstructionsGenerated", "RunConfigured", "TrainingLogged"):
        expected[f"{name}.v3"] = expected[f"{name}.v1"]
    for name in ("InstructionsGenerated", "RunConfigured"):
        expected[f"{name}.v4"] = expected[f"{name}.v1"]
    document = told(DocumentRead)
    read_id = ids.document_id(document.source, document.place, document.start, document.sha256)
    expected["DocumentRead.v1"] = read_id, read_id, run
    expected["DocumentWithdrawn.v1"] = read_id, ids.withdrawn_id(read_id), read_id
    measured, answer, judgement = told(QuestionMeasured), told(AnswerGiven), told(AnswersJudged)
    evaluated = {
        "QuestionMeasured.v1": ids.measured_id(measured.model.key, measured.benchmark.key, measured.question_id),
        "AnswerGiven.v1": ids.answer_id(answer.model.key, answer.asked.key, answer.prompt_id),
        "AnswersJudged.v1": ids.answers_judged_id(judgement.judge.name, judgement.answer_ids),
    }
    for name, id in evaluated.items():
        asked = name != "QuestionMeasured.v1"
        expected[name] = id, id, ids.child(ids.request_id(id, 0), "answered/1") if asked else None
    prepared = told(BatchPrepared)
    causes = (ids.child(prepared.lines[0].request_id, f"started/{prepared.lines[0].attempt}"), "prepared", "uploaded")
    for step, cause in zip(("Prepared", "Uploaded", "Submitted", "Ended"), (*causes, "submitted"), strict=True):
        id = cause if step == "Prepared" else ids.child(prepared.batch, cause)
        expected[f"Batch{step}.v1"] = prepared.batch, ids.child(prepared.batch, step.lower()), id
    assert judgement.answer_ids[0] == evaluated["AnswerGiven.v1"]
    found = {name: example.decoded() for name, example in examples.items()}
    assert {name: (one.key, one.meta.id, one.meta.causation_id) for name, one in found.items()} == expected
    assert {one.meta.correlation_id for one in found.values()} == {run}


def test_the_example_answer_reads_as_the_example_generation(told):
    generated, answered = told(InstructionsGenerated), told(CallAnswered)
    assert generated.answers == (answered,)
    shown = SeedPool.of(told(RunConfigured).seeds).sample(3, rng_seed=42, lane="default", number=0)
    assert generated.seed_ids == tuple(seed.id for seed in shown)
    assert (generated.instructions, generated.unparsed, generated.cut) == read(form_of(generated), {0: answered})


def test_the_example_score_is_what_the_example_answer_says(told):
    judged, kept = told(InstructionJudged), told(InstructionKept)
    assert (judged.kept_id, judged.cluster, judged.place) == (kept.id, kept.cluster, kept.place)
    assert score_of(judged.answers[-1], judged.scale, reading=judged.reading) == (judged.score, judged.reason)


def test_the_core_decides_the_example_generation_as_the_examples_say(told):
    state = decider.use_classifier(decider.initial_state(told(RunConfigured)), told(ClassifierFitted))
    verdict = decider.decide(state, 0, ids.generation_id("default", 0), told(InstructionsGenerated))
    assert verdict.decision.kept[0] == told(InstructionKept)
    assert verdict.rejected == told(InstructionsRejected)


def test_the_core_answers_the_example_window_with_the_example_command(told):
    configured = told(RunConfigured)
    state = decider.use_classifier(decider.initial_state(configured), told(ClassifierFitted))
    generated = told(InstructionsGenerated)
    decider.apply(state, decider.decide(state, 0, ids.generation_id("default", 0), generated).decision)
    command = feedback.answer(
        configured.policy,
        SeedPool.of(configured.seeds),
        state.scores,
        state.kept,
        told(TrainingLogged),
        training_offset=0,
        as_of_offset=0,
    )
    assert command == told(ReplaceSeeds)
    assert command.replacements


def test_the_examples_hold_every_field_of_their_events(examples):
    for spec in SPECS.values():
        example = examples[message_name(spec, spec.version)]
        assert tuple(example.value) == tuple(field.encode_name for field in msgspec.structs.fields(spec.cls))
