"""The topics of a run, as declared."""

import pytest

from schemas.errors import ConfigurationError
from schemas.topics import check_run_name, dead_letter_name, is_optional, lacking, topic_name, topic_specs


def test_a_run_has_these_topics():
    assert [topic.name for topic in topic_specs()] == [
        "answered",
        "answers",
        "calls",
        "documents",
        "generated",
        "judged",
        "judgements",
        "kept",
        "measured",
        "rejected",
        "run",
        "seed-commands",
        "training-log",
    ]


def test_topics_are_named_by_run_and_their_dead_letters_by_topic():
    assert topic_name("demo", "kept") == "sedi.demo.kept"
    assert topic_name("my_run-2", "training-log") == "sedi.my_run-2.training-log"
    assert dead_letter_name(topic_name("demo", "kept")) == "sedi.demo.kept.dlq"


def test_partitions_of_rows_are_clusters_and_every_other_topic_has_one_order():
    assert {topic.name: topic.partition_count(16) for topic in topic_specs()} == {
        "answered": 16,
        "answers": 1,
        "calls": 1,
        "documents": 1,
        "generated": 1,
        "judged": 1,
        "judgements": 1,
        "kept": 16,
        "measured": 1,
        "rejected": 1,
        "run": 1,
        "seed-commands": 1,
        "training-log": 1,
    }


def test_nothing_is_ever_dropped_from_a_topic():
    for topic in topic_specs():
        assert topic.config["cleanup.policy"] == "delete", topic.name
        assert topic.config["retention.ms"] == topic.config["retention.bytes"] == "-1", topic.name


def test_a_run_may_lack_documents_and_what_judges_and_evaluations_write_and_nothing_else():
    optional = ["answered", "answers", "documents", "judged", "judgements", "measured"]
    assert [topic.name for topic in topic_specs() if topic.optional] == optional
    assert is_optional("judged")
    assert is_optional("judged.dlq")
    assert not is_optional("kept.dlq")
    assert lacking(["kept", "judged", "judged.dlq"], there=["run"]) == ("judged", "judged.dlq")
    assert lacking(["kept", "judged"], there=["judged"]) == ()


def test_every_topic_has_a_writer_a_reader_and_dead_letters():
    for topic in topic_specs():
        assert topic.written_by, topic.name
        assert topic.read_by, topic.name
        assert topic.dead_letters, topic.name


@pytest.mark.parametrize("run", ["demo", "0", "a-b_c", "9-lives", "a" * 63])
def test_a_run_may_be_called_this(run):
    assert check_run_name(run) == run


@pytest.mark.parametrize("run", ["", "Demo", "-a", "_a", "a.b", "a b", "a/b", "å", "demo\n", "a" * 64, ".", "{run}"])
def test_a_run_name_that_topics_cannot_be_named_by_is_refused(run):
    with pytest.raises(ConfigurationError, match="Run name"):
        check_run_name(run)
    with pytest.raises(ConfigurationError, match="Run name"):
        topic_name(run, "kept")
