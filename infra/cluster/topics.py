"""A run's topics on the cluster, compared with their declarations in `schemas/topics/*.yaml`.

`plan` only reads. `apply` creates missing topics, dead-letter topics included, and never alters existing ones: the
partition counts are part of a run's meaning (a partition of `kept` is a cluster), so a difference is an error that
lists every difference. `check` runs when a program starts: required topics exist, and all are as declared.

Only declared configuration keys are compared. Replication is chosen at creation and not compared: more replicas do not
change the run.
"""

from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import ClusterAuthorizationFailedError, TopicAlreadyExistsError, TopicAuthorizationFailedError

from infra.cluster.admin import administrator, describe_topics
from infra.cluster.refusals import Right, missing_rights
from infra.settings import Settings
from schemas.errors import BrokerError, RunError, TopicMismatch
from schemas.policy import Policy
from schemas.topics import dead_letter_name, topic_name, topic_specs

_UNAUTHORIZED = (TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno)


@dataclass(frozen=True)
class WantedTopic:
    """A topic of a run as declared, with its full name; an `optional` one may be missing."""

    name: str
    partitions: int
    config: dict[str, str]
    optional: bool = False


@dataclass(frozen=True)
class TopicDifference:
    """A property that differs from its declaration: `partitions`, or a configuration key."""

    topic: str
    property: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.property} is {self.found}, declared is {self.wanted}"


@dataclass(frozen=True)
class TopicPlan:
    """What `apply` would do. `existing` topics may differ from their declaration."""

    existing: tuple[WantedTopic, ...]
    missing: tuple[WantedTopic, ...]
    differences: tuple[TopicDifference, ...]


def wanted_topics(run: str, clusters: int) -> tuple[WantedTopic, ...]:
    """Every topic of a run: the declared ones, each with its dead-letter topic after it.

    A dead-letter topic has one partition and its topic's configuration.
    Raises ConfigurationError for an invalid run name or number of clusters.
    """
    Policy(clusters=clusters, batch_size=clusters)  # raises for a number that is not a power of two
    wanted = []
    for spec in topic_specs():
        name = topic_name(run, spec.name)
        wanted.append(WantedTopic(name, spec.partition_count(clusters), spec.config, spec.optional))
        if spec.dead_letters:
            wanted.append(WantedTopic(dead_letter_name(name), 1, spec.config, spec.optional))
    return tuple(wanted)


def plan(settings: Settings, run: str, clusters: int) -> TopicPlan:
    """Compare the cluster with the declarations; changes nothing.

    Raises BrokerError when it does not answer, ClusterRefused when the user may not describe topics or their
    configuration.
    """
    wanted = wanted_topics(run, clusters)
    with administrator(settings) as admin:
        return _plan(settings, admin, run, wanted)


def apply(settings: Settings, run: str, clusters: int) -> TopicPlan:
    """Create missing topics and wait until they can be used; returns the plan that was carried out.

    Raises TopicMismatch with all differences, before creating anything, when a topic is not as declared. Safe for two
    programs at once.
    """
    wanted = wanted_topics(run, clusters)
    with administrator(settings) as admin:
        found = _plan(settings, admin, run, wanted)
        _refuse_differences(run, found)
        _create(admin, settings, found.missing)
        # Another program may have created a different one meanwhile.
        _refuse_differences(run, _plan(settings, admin, run, wanted))
    return found


def check(settings: Settings, run: str, clusters: int) -> None:
    """Raise RunError for a missing required topic, TopicMismatch for topics that are not as declared."""
    found = plan(settings, run, clusters)
    missing = [topic for topic in found.missing if not topic.optional]
    if missing:
        raise RunError(
            f"Run {run!r} lacks {len(missing)} topics on {settings.bootstrap_servers}, the first is "
            f"{missing[0].name}. `sedi topics apply --run {run} --clusters {clusters}` makes them."
        )
    _refuse_differences(run, found)


def clusters_of_run(settings: Settings, run: str) -> int | None:
    """The partition count of the run's `kept` topic, one a cluster; None when it does not exist."""
    with administrator(settings) as admin:
        (topic,) = describe_topics(settings, admin, run, [topic_name(run, "kept")])
    return len(topic["partitions"]) or None


def _refuse_differences(run: str, found: TopicPlan) -> None:
    if found.differences:
        listed = "; ".join(str(difference) for difference in found.differences)
        raise TopicMismatch(
            f"Topics of run {run!r} are not as declared: {listed}. Partitions cannot be changed without changing what "
            "the run means: use as many clusters as the run was made with, or another run name; set configuration "
            "back with your cluster's tools."
        )


def _plan(settings: Settings, admin: Any, run: str, wanted: tuple[WantedTopic, ...]) -> TopicPlan:
    answers = describe_topics(settings, admin, run, [topic.name for topic in wanted])
    found = {topic["name"]: topic for topic in answers if not topic["error_code"]}
    existing = tuple(topic for topic in wanted if topic.name in found)
    differences = [
        TopicDifference(topic.name, "partitions", str(topic.partitions), str(len(found[topic.name]["partitions"])))
        for topic in existing
        if len(found[topic.name]["partitions"]) != topic.partitions
    ]
    differences += _config_differences(settings, admin, existing)
    return TopicPlan(existing, tuple(topic for topic in wanted if topic.name not in found), tuple(differences))


def _config_differences(settings: Settings, admin: Any, existing: tuple[WantedTopic, ...]) -> list[TopicDifference]:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, dict.fromkeys(topic.config, ""))
        for topic in existing
        if topic.config
    ]
    if not resources:
        return []
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    # When unauthorized, kafka-python drops the error and returns no keys.
    refused = [topic.name for topic in existing if topic.config and not found.get(topic.name)]
    if refused:
        raise missing_rights(settings, *(Right("DescribeConfigs", "topic", name) for name in refused))
    return [
        TopicDifference(topic.name, key, value, str(found[topic.name].get(key, {}).get("value")))
        for topic in existing
        for key, value in topic.config.items()
        if found[topic.name].get(key, {}).get("value") != value
    ]


def _create(admin: Any, settings: Settings, missing: tuple[WantedTopic, ...]) -> None:
    if not missing:
        return
    options = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": settings.replication_factor,
            "configs": topic.config,
        }
        for topic in missing
    }
    answers = admin.create_topics(options, raise_errors=False)["topics"]
    refused = [made["name"] for made in answers if made["error_code"] in _UNAUTHORIZED]
    if refused:
        raise missing_rights(settings, *(Right("Create", "topic", name) for name in refused))
    for made in answers:
        # A topic that another program has just created is compared again afterwards.
        if made["error_code"] not in (0, TopicAlreadyExistsError.errno):
            raise BrokerError(
                f"The cluster will not make topic {made['name']}: {made['error_message']} (Kafka error "
                f"{made['error_code']}). Set SEDI_REPLICATION_FACTOR to what the cluster has brokers for."
            )
    admin.wait_for_topics([topic.name for topic in missing])
