"""The envelope gives back what was put in, and says SchemaError, and nothing else, about everything that is wrong."""

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.async_api import message_name, versions
from schemas.envelope import Decoded, Meta, decode, encode
from schemas.errors import MalformedEvent, SchemaError, UnknownEvent
from schemas.events import (
    BatchRow,
    CallFailed,
    Classifier,
    ClassifierFitted,
    InstructionKept,
    RunStarted,
    RunStopped,
    StepLogged,
    TrainingLogged,
)
from schemas.policy import policy_for
from schemas.registry import spec_of

NAMES = [message_name(spec, version) for spec, version in versions()]
META = Meta("id", "/sedi/demo/test", "2026-11-21T09:00:00.000000Z")
STOPPED = RunStopped(reason="enough")

named = st.text(min_size=1, max_size=20)
counts = st.integers(0, 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.floats(0, allow_nan=False, allow_infinity=False)

metas = st.builds(
    Meta,
    id=named,
    source=named,
    time=named,
    causation_id=st.none() | st.text(max_size=20),
    correlation_id=st.none() | st.text(max_size=20),
    traceparent=st.none() | st.text(max_size=20),
)
rows = st.builds(BatchRow, id=st.text(), slot=counts, cluster=counts, generated_offset=counts)
steps = st.builds(
    StepLogged,
    step=st.integers(1, 2**63 - 1),
    loss=st.none() | finite,
    loss_variance=st.none() | amounts,
    grad_norm=st.none() | amounts,
    learning_rate=amounts,
    tokens=counts,
    seconds=amounts,
    rows=st.lists(rows, max_size=3).map(tuple),
)
events = st.one_of(
    st.builds(
        InstructionKept,
        id=st.text(),
        instruction=st.text(),
        input=st.text(),
        output=st.text(),
        generation_id=st.text(),
        generated_offset=counts,
        place=counts,
        cluster=counts,
        classifier_offset=counts,
    ),
    st.builds(
        CallFailed,
        request_id=st.text(),
        attempt=counts,
        error=st.text(),
        status=st.none() | st.integers(100, 599),
        retry=st.booleans(),
    ),
    st.builds(
        TrainingLogged,
        window=counts,
        epoch=st.integers(1, 2**63 - 1),
        model=st.text(),
        steps=st.lists(steps, max_size=3).map(tuple),
    ),
    st.builds(RunStarted, versions=st.dictionaries(st.text(), st.text(), max_size=3)),
)


def without(headers, *names):
    return [(name, value) for name, value in headers if name not in names]


# -- what is put in comes out ----------------------------------------------------------------------------------------


@given(meta=metas, key=st.text(), event=events)
@settings(max_examples=150, deadline=None)
def test_a_record_reads_as_the_event_the_envelope_and_the_key_that_were_written(meta, key, event):
    assert decode(*encode(event, key, meta)) == Decoded(event, meta, key, spec_of(type(event)).version)


@given(event=events)
@settings(max_examples=50, deadline=None)
def test_equal_events_are_equal_bytes_whenever_they_are_written(event):
    later = msgspec.structs.replace(META, time="2030-01-01T00:00:00.000000Z")
    assert encode(event, "key", META)[1] == encode(event, "key", later)[1]


def test_headers_are_cloudevents_in_binary_mode():
    meta = msgspec.structs.replace(META, causation_id="cause", correlation_id="run", traceparent="00-ab-cd-01")
    assert encode(STOPPED, "demo", meta)[2] == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"id"),
        ("ce_type", b"sedi.RunStopped.v1"),
        ("ce_source", b"/sedi/demo/test"),
        ("ce_time", b"2026-11-21T09:00:00.000000Z"),
        ("ce_subject", b"demo"),
        ("content-type", b"application/json"),
        ("ce_causationid", b"cause"),
        ("ce_correlationid", b"run"),
        ("traceparent", b"00-ab-cd-01"),
    ]


def test_headers_may_be_a_mapping_and_other_headers_are_no_concern():
    key, value, headers = encode(STOPPED, "demo", META)
    wanted = decode(key, value, headers)
    assert decode(key, value, dict(headers)) == wanted
    assert decode(key, value, [("x", b"\xff"), ("x", b"\xfe"), *headers]) == wanted
    assert decode(key, value, without(headers, "ce_subject", "content-type")) == wanted


def test_a_field_of_a_newer_writer_is_passed_over():
    key, _, headers = encode(STOPPED, "demo", META)
    assert decode(key, b'{"reason": "enough", "mood": "fine"}', headers).event == STOPPED


def test_a_record_without_a_key_has_the_empty_key():
    _, value, headers = encode(STOPPED, "demo", META)
    assert decode(None, value, headers).key == ""


# -- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ce_type", "told"),
    [
        (b"sedi.RunPaused.v1", "sedi.RunPaused.v1"),
        (b"other.RunStopped.v1", "other.RunStopped.v1"),
        (b"RunStopped.v1", "RunStopped.v1"),
        (b"sedi.RunStopped", "sedi.RunStopped"),
        (b"sedi.RunStopped.v2", "RunStopped v2 is not known here"),
        (b"sedi.RunStopped.v0", "sedi.RunStopped.v0"),
        (b"sedi.RunStopped.v01", "sedi.RunStopped.v01"),
        (b"sedi.RunStopped.v-1", "sedi.RunStopped.v-1"),
        ("sedi.RunStopped.v١".encode(), "is not known here"),
        (b"sedi.RunStopped.v" + b"9" * 5000, "is not known here"),
        (b"sedi.RunStopped.v1\n", "is not known here"),
        (b"\xff\xfe", "is not known here"),
        (b"", "is not known here"),
    ],
)
def test_a_type_or_version_not_known_here_is_an_unknown_event(ce_type, told):
    key, value, headers = encode(STOPPED, "demo", META)
    with pytest.raises(UnknownEvent) as error:
        decode(key, value, [*without(headers, "ce_type"), ("ce_type", ce_type)])
    assert told in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("name", ["ce_type", "ce_specversion", "ce_id", "ce_source", "ce_time"])
@pytest.mark.parametrize("wrong", ["missing", "null", "twice", "text"])
def test_a_header_that_is_missing_null_given_twice_or_no_bytes_is_named(name, wrong):
    key, value, headers = encode(STOPPED, "demo", META)
    given = dict(headers)[name]
    rest = without(headers, name)
    broken = {
        "missing": rest,
        "null": [*rest, (name, None)],
        "twice": [*headers, (name, given)],
        "text": [*rest, (name, given.decode())],
    }
    with pytest.raises(MalformedEvent, match=name):
        decode(key, value, broken[wrong])


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_time", "ce_causationid", "ce_correlationid", "traceparent"])
def test_a_header_that_is_not_utf_8_is_malformed(name):
    key, value, headers = encode(STOPPED, "demo", META)
    with pytest.raises(MalformedEvent, match="utf-8"):
        decode(key, value, [*without(headers, name), (name, b"\xff")])


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_time"])
def test_a_header_that_every_event_has_may_not_be_empty(name):
    key, value, headers = encode(STOPPED, "demo", META)
    with pytest.raises(MalformedEvent, match=name):
        decode(key, value, [*without(headers, name), (name, b"")])


def test_another_version_of_cloudevents_is_not_read():
    key, value, headers = encode(STOPPED, "demo", META)
    with pytest.raises(MalformedEvent, match=r"ce_specversion b'0\.3'"):
        decode(key, value, [*without(headers, "ce_specversion"), ("ce_specversion", b"0.3")])


def test_header_names_that_are_no_text_are_passed_over():
    key, value, headers = encode(STOPPED, "demo", META)
    assert decode(key, value, [(b"ce_id", b"other"), (None, b""), *headers]).meta.id == "id"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"reason": 7}',
        b'{"reason": "a',
        b'{"reason": "a"} {}',
        b'{"reason": "\xff"}',
        b'{"reason": "\\ud800"}',
        b'{"other": ' + b"[" * 100_000,
    ],
)
def test_a_value_that_is_not_the_event_is_malformed(value):
    key, _, headers = encode(STOPPED, "demo", META)
    with pytest.raises(MalformedEvent, match="RunStopped"):
        decode(key, value, headers)


def test_a_key_that_is_not_utf_8_is_malformed():
    _, value, headers = encode(STOPPED, "demo", META)
    with pytest.raises(MalformedEvent, match="utf-8"):
        decode(b"\xff", value, headers)


@pytest.mark.parametrize(
    "number", [b"-1", b"1.5", b"true", b"9223372036854775808", b"1" + b"0" * 5000, b"1e400", b"NaN"]
)
@pytest.mark.parametrize("field", ["cluster", "generated_offset", "place", "classifier_offset"])
def test_a_cluster_an_offset_or_a_place_is_a_64_bit_number_from_0(examples, field, number):
    key, _, headers = examples["InstructionKept.v1"].record()
    value = json.dumps({**examples["InstructionKept.v1"].value, field: "@"}).encode().replace(b'"@"', number)
    with pytest.raises(MalformedEvent):
        decode(key, value, headers)


@pytest.mark.parametrize("name", ["InstructionsGenerated.v1", "ReplaceSeeds.v1"])
def test_a_last_offset_may_be_minus_one_for_none_and_no_less(examples, name):
    field = {"InstructionsGenerated.v1": "seed_commands_offset", "ReplaceSeeds.v1": "as_of_offset"}[name]
    key, _, headers = examples[name].record()
    assert getattr(decode(key, json.dumps({**examples[name].value, field: -1}).encode(), headers).event, field) == -1
    with pytest.raises(MalformedEvent, match=field):
        decode(key, json.dumps({**examples[name].value, field: -2}).encode(), headers)


@pytest.mark.parametrize(
    "change",
    [{"clusters": 3}, {"batch_size": 0}, {"threshold": 1}, {"min_words": 9, "max_words": 5}, {"colour": "red"}],
)
def test_a_run_with_a_policy_that_cannot_be_is_malformed(examples, change):
    example = examples["RunConfigured.v2"]
    value = {**example.value, "policy": {**example.value["policy"], **change}}
    with pytest.raises(MalformedEvent, match=next(iter(change))):
        decode(example.key.encode(), json.dumps(value).encode(), example.record()[2])


@pytest.mark.parametrize(
    "change",
    [
        {"idf": [1.0]},
        {"vocabulary": []},
        {"means": []},
        {"cuts": [[0.0]]},
        {"cuts": [[0.0], [0.0]]},
        {"vectorizer": "embeddings"},
        {"model_sha256": "ab"},
        {"vectorizer": "embeddings", "model_sha256": "ab"},
        {"vectorizer": "embeddings", "model_sha256": "ab", "idf": [], "vocabulary": [], "components": [[1.0], []]},
    ],
)
def test_a_classifier_whose_numbers_do_not_fit_one_another_is_malformed(examples, change):
    example = examples["ClassifierFitted.v2"]
    value = {**example.value, "classifier": {**example.value["classifier"], **change}}
    with pytest.raises(MalformedEvent, match="a classifier of"):
        decode(example.key.encode(), json.dumps(value).encode(), example.record()[2])


# -- nothing but SchemaError -----------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
header_names = st.sampled_from(
    ["ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "ce_causationid", "ce_correlationid", "traceparent"]
)
header_values = st.one_of(
    st.binary(max_size=12), st.none(), st.sampled_from([b"1.0", *(f"sedi.{name}".encode() for name in NAMES)])
)
any_headers = st.lists(st.tuples(header_names | st.text(max_size=5), header_values), max_size=12)


def reads_or_says_why(key, value, headers):
    try:
        assert isinstance(decode(key, value, headers), Decoded)
    except SchemaError as error:
        assert str(error)


@given(key=st.none() | st.binary(max_size=8), value=st.none() | st.binary(max_size=40), headers=any_headers)
@settings(max_examples=300, deadline=None)
def test_no_bytes_and_headers_raise_anything_but_schema_errors(key, value, headers):
    reads_or_says_why(key, value, headers)


@given(name=st.sampled_from(NAMES), data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_damage_to_a_record_raises_anything_but_schema_errors(examples, name, data):
    key, value, headers = examples[name].record()
    match data.draw(st.sampled_from(["bytes", "field", "header", "key"])):
        case "bytes":
            start = data.draw(st.integers(0, len(value)))
            end = data.draw(st.integers(start, min(len(value), start + 20)))
            value = value[:start] + data.draw(st.binary(max_size=6)) + value[end:]
        case "field":
            field = data.draw(st.sampled_from(sorted(examples[name].value)))
            value = json.dumps({**examples[name].value, field: data.draw(json_values)}).encode()
        case "header":
            place = data.draw(st.integers(0, len(headers) - 1))
            headers[place] = (headers[place][0], data.draw(header_values))
        case "key":
            key = data.draw(st.binary(max_size=8))
    reads_or_says_why(key, value, headers)


# -- what is not written ---------------------------------------------------------------------------------------------


def step(**change):
    fields = {"loss": 1.0, "loss_variance": 0.1, "grad_norm": 2.0, "learning_rate": 1e-5, "tokens": 3, "seconds": 0.5}
    return TrainingLogged(window=0, epoch=1, model="m", steps=(StepLogged(step=1, rows=(), **{**fields, **change}),))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["loss", "loss_variance", "grad_norm", "learning_rate", "seconds"])
def test_a_number_that_is_not_finite_is_not_written(field, number):
    with pytest.raises(MalformedEvent, match="TrainingLogged cannot be written"):
        encode(step(**{field: number}), "key", META)


@pytest.mark.parametrize("field", ["loss_variance", "grad_norm", "learning_rate", "tokens", "seconds"])
def test_a_number_below_its_range_is_not_written(field):
    with pytest.raises(MalformedEvent, match=field):
        encode(step(**{field: -1}), "key", META)


def test_a_negative_cluster_is_not_written(examples):
    row = msgspec.structs.replace(examples["InstructionKept.v1"].decoded().event, cluster=-1)
    with pytest.raises(MalformedEvent, match="cluster"):
        encode(row, "key", META)


@pytest.mark.parametrize("text", ["\ud800", "half a pair \udfff"])
def test_half_a_surrogate_pair_is_not_written(text):
    for event, key, meta in (
        (RunStopped(reason=text), "key", META),
        (STOPPED, text, META),
        (STOPPED, "key", msgspec.structs.replace(META, causation_id=text)),
    ):
        with pytest.raises(MalformedEvent, match="cannot be written"):
            encode(event, key, meta)


def test_an_array_that_would_come_back_as_another_type_is_not_written():
    with pytest.raises(MalformedEvent, match="seeds would read back as something else"):
        from schemas.events import RunConfigured

        encode(RunConfigured(run="demo", policy=policy_for(), seeds=[], versions={}), "demo", META)


def test_an_envelope_without_an_id_is_not_written():
    with pytest.raises(MalformedEvent, match="ce_id"):
        encode(STOPPED, "demo", msgspec.structs.replace(META, id=""))


def test_a_classifier_of_one_cluster_has_no_numbers():
    nothing = Classifier(ngrams=(2, 4), vocabulary=(), idf=(), components=(), means=(), cuts=())
    event = ClassifierFitted(from_offset=0, fitted_on="seeds", texts=1, kept_total=0, classifier=nothing)
    assert decode(*encode(event, "demo", META)).event == event
