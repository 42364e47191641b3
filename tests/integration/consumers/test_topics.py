"""Topics are made as declared on a real cluster, and one that is otherwise is an error that names every difference."""

import time

import pytest

from infra.cluster import topics
from infra.cluster.admin import administrator, offsets_at
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.run import configure_run, read_run
from schemas.errors import ConfigurationError, RunError, TopicMismatch
from schemas.policy import policy_for
from schemas.topics import topic_specs
from streams.core.decider import first_classifier
from tests.unit.consumers.story import START_MS, seed


def test_a_plan_changes_nothing_and_apply_makes_what_it_says(broker: TemporaryBroker, run: str) -> None:
    planned = topics.plan(broker.settings, run, 4)
    assert topics.plan(broker.settings, run, 4) == planned
    assert len(planned.missing) == 2 * len(topic_specs())
    assert not planned.existing

    assert topics.apply(broker.settings, run, 4) == planned

    after = topics.plan(broker.settings, run, 4)
    assert (after.existing, after.missing, after.differences) == (planned.missing, (), ())
    topics.check(broker.settings, run, 4)
    assert topics.clusters_of_run(broker.settings, run) == 4


def test_apply_again_makes_only_what_is_missing(broker: TemporaryBroker, run: str) -> None:
    topics.apply(broker.settings, run, 2)
    with administrator(broker.settings) as admin:
        admin.delete_topics([f"sedi.{run}.calls.dlq"])
    deadline = time.monotonic() + 90
    while not topics.plan(broker.settings, run, 2).missing and time.monotonic() < deadline:
        time.sleep(0.1)  # the cluster forgets it a moment later
    with pytest.raises(RunError, match=rf"lacks 1 topics .* first is sedi\.{run}\.calls\.dlq"):
        topics.check(broker.settings, run, 2)

    made = topics.apply(broker.settings, run, 2)

    assert [topic.name for topic in made.missing] == [f"sedi.{run}.calls.dlq"]
    topics.check(broker.settings, run, 2)


def test_a_mismatch_names_all_differences_and_makes_nothing(broker: TemporaryBroker, run: str) -> None:
    with administrator(broker.settings) as admin:
        admin.create_topics(
            {
                f"sedi.{run}.kept": {"num_partitions": 3, "replication_factor": 1},
                f"sedi.{run}.calls": {
                    "num_partitions": 1,
                    "replication_factor": 1,
                    "configs": {"retention.ms": "1000", "cleanup.policy": "compact"},
                },
            },
            wait_for_metadata=True,
        )

    with pytest.raises(TopicMismatch) as caught:
        topics.apply(broker.settings, run, 2)

    for told in (
        f"sedi.{run}.kept: partitions is 3, declared is 2",
        f"sedi.{run}.calls: retention.ms is 1000, declared is -1",
        f"sedi.{run}.calls: cleanup.policy is compact, declared is delete",
    ):
        assert told in str(caught.value)
    assert len(topics.plan(broker.settings, run, 2).existing) == 2
    with pytest.raises(RunError):
        topics.check(broker.settings, run, 2)


def test_a_run_is_configured_once_and_another_policy_is_refused(broker: TemporaryBroker, run: str) -> None:
    settings, policy, seeds = broker.settings, policy_for(batch_size=2), tuple(seed(number) for number in range(4))
    classifier = first_classifier(policy, seeds)

    assert configure_run(settings, run, policy, seeds, {"sedi": "1"}, classifier=classifier)
    assert not configure_run(settings, run, policy, seeds, {"sedi": "2"}, classifier=classifier)

    configured, classifiers = read_run(settings, run)
    assert (configured.policy, configured.seeds, configured.versions) == (policy, seeds, {"sedi": "1"})
    assert classifiers == (classifier,)
    other = policy_for(batch_size=4, threshold=0.5)
    with pytest.raises(ConfigurationError) as caught:
        configure_run(settings, run, other, seeds[1:], {}, classifier=classifier)
    for told in (
        "threshold is 0.85 there and 0.5 here",
        "batch_size is 2 there and 4 here",
        "1 only there (first: seed-0)",
    ):
        assert told in str(caught.value)


def test_a_partition_without_a_record_that_new_has_no_offset_at_that_time(broker: TemporaryBroker, run: str) -> None:
    topics.apply(broker.settings, run, 2)

    assert offsets_at(broker.settings, run, ["kept", "run"], START_MS) == {}
    with pytest.raises(RunError, match="has no topic"):
        offsets_at(broker.settings, f"{run}-other", ["kept"], START_MS)
