"""What is generated for others is what the classes and the topic files say, and drift is found and named."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from schemas import generate
from schemas.async_api import async_api
from schemas.events import Event
from schemas.generate import HERE, documents, drift, main, write
from schemas.json_schema import json_schema
from schemas.registry import SPECS, EventSpec, _spec
from schemas.topics import topic_specs


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What is generated, beside the schemas of old versions, which were generated once."""
    shutil.copytree(HERE / "jsonschema", tmp_path / "jsonschema")
    write(tmp_path)
    return tmp_path


def test_the_files_in_the_project_are_up_to_date():
    assert drift() == []


def test_the_same_source_gives_the_same_bytes(written):
    for name, wanted in documents().items():
        assert (written / name).read_bytes() == wanted.encode() == (HERE / name).read_bytes()


def test_a_check_of_fresh_files_succeeds_and_says_nothing(written, capsys):
    assert main(["--check"], written) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["asyncapi.yaml", "jsonschema/InstructionKept.v1.json"])
def test_a_check_names_the_file_that_was_changed_by_hand_and_leaves_it(written, capsys, name):
    path = written / name
    changed = path.read_text(encoding="utf-8") + "\n"
    path.write_text(changed, encoding="utf-8")

    assert main(["--check"], written) == 1

    told = capsys.readouterr().err
    assert f"{path}: differs from the classes" in told
    assert told.count("\n") == 2
    assert path.read_text(encoding="utf-8") == changed
    assert main([], written) == 0
    assert drift(written) == []


def test_a_check_names_files_that_are_missing_and_those_of_no_event(written):
    (written / "jsonschema" / "RunStopped.v1.json").unlink()
    (written / "jsonschema" / "RunPaused.v1.json").touch()
    assert drift(written) == [
        f"{written / 'jsonschema' / 'RunStopped.v1.json'}: is missing",
        f"{written / 'jsonschema' / 'RunPaused.v1.json'}: belongs to no event",
    ]


def test_the_schema_of_an_old_version_is_kept_and_missed_when_it_is_gone(written, monkeypatch):
    newer = EventSpec("RunStopped", 2, SPECS["RunStopped"].cls, "run", SPECS["RunStopped"].decoder)
    monkeypatch.setitem(SPECS, "RunStopped", newer)
    old = written / "jsonschema" / "RunStopped.v1.json"
    before = old.read_bytes()

    assert main([], written) == 0
    assert old.read_bytes() == before
    assert set(_message_names(written)) >= {"RunStopped.v1", "RunStopped.v2"}

    old.unlink()
    assert main([], written) == 1
    assert drift(written) == [f"{old}: is missing; old versions stay for ever"]


def _message_names(folder: Path) -> list[str]:
    return list(yaml.safe_load((folder / "asyncapi.yaml").read_text(encoding="utf-8"))["components"]["messages"])


class Measured(Event, frozen=True, kw_only=True):
    """Something was measured.

    Twice, in fact.

    low, high   bounds of the measurement,
                both included
    note        what else there is to say
    """

    low: int
    high: int
    note: str | None = None


def test_the_table_of_fields_in_a_docstring_becomes_their_descriptions():
    found = json_schema(_spec(Measured, "run"))
    assert found["$id"] == "urn:sedi:Measured:v1"
    assert found["description"] == "Something was measured.\n\nTwice, in fact."
    assert found["properties"] == {
        "low": {"type": "integer", "description": "bounds of the measurement, both included"},
        "high": {"type": "integer", "description": "bounds of the measurement, both included"},
        "note": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "default": None,
            "description": "what else there is to say",
        },
    }


# -- the AsyncAPI document -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load(async_api())


def test_there_is_a_channel_for_every_topic_and_for_its_dead_letters(document):
    names = {topic.name for topic in topic_specs()}
    assert set(document["channels"]) == names | {f"{name}.dlq" for name in names}
    for name, channel in document["channels"].items():
        assert channel["address"] == f"sedi.{{run}}.{name}"
        assert set(channel["parameters"]) == {"run"}


def test_channels_carry_their_events_partitions_and_configuration(document):
    for topic in topic_specs():
        channel = document["channels"][topic.name]
        assert list(channel["messages"]) == [
            f"{event}.v{version}" for event in topic.events for version in range(1, SPECS[event].version + 1)
        ]
        binding = channel["bindings"]["kafka"]
        assert binding.get("partitions") == (None if topic.partitions == "clusters" else topic.partitions)
        assert set(binding["topicConfiguration"]) == set(topic.config)
        dead = document["channels"][f"{topic.name}.dlq"]
        assert list(dead["messages"]) == ["DeadLetter"]
        assert dead["bindings"]["kafka"]["partitions"] == 1


def test_operations_are_who_writes_and_who_reads(document):
    for topic in topic_specs():
        there = {name: one["action"] for name, one in document["operations"].items() if name.endswith(f".{topic.name}")}
        assert there == {
            **{f"{who}.sends.{topic.name}": "send" for who in topic.written_by},
            **{f"{who}.receives.{topic.name}": "receive" for who in topic.read_by},
        }


def test_every_reference_leads_somewhere(document):
    def references(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            node = list(node.values())
        if isinstance(node, list):
            for inner in node:
                yield from references(inner)

    found = list(references(document))
    assert len(found) > 100
    for reference in found:
        if reference.startswith("#/"):
            node = document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]
        else:
            assert json.loads((HERE / reference).read_text(encoding="utf-8"))["$schema"]


def test_every_message_names_its_example_and_type(document):
    messages = {name: one for name, one in document["components"]["messages"].items() if name != "DeadLetter"}
    for name, message in messages.items():
        assert (HERE / message["x-example"]).is_file()
        assert message["headers"]["allOf"][1]["properties"]["ce_type"] == {"const": f"sedi.{name}"}


def test_the_module_is_the_command():
    assert generate.__doc__ is not None
    with pytest.raises(SystemExit) as ended:
        main(["--chekc"])
    assert ended.value.code == 2
