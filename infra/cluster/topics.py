"""The topics of a run on the cluster, against what `schemas/topics/*.yaml` declares.

`plan` looks and changes nothing. `apply` creates what is missing, dead-letter topics included, and never alters what is
there: partition counts are part of what a run means (a partition of `kept` is a cluster), so a difference is an error
that names every difference. `check` is what a program does when it starts: all there but what a run may lack, and all
as declared.

Of a topic's configuration only the declared keys are compared; the cluster's own defaults are left to it. Replication
is chosen at creation and not compared: a cluster may be given more replicas later, and the run means the same.
"""

from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import ClusterAuthorizationFailedError, TopicAlreadyExistsError, TopicAuthorizationFailedError

from infra.cluster.admin import administrator, described
from infra.cluster.refusals import Right, lacks
from infra.settings import Settings
from schemas.errors import BrokerError, RunError, TopicMismatch
from schemas.policy import Policy
from schemas.topics import dead_letter_name, topic_name, topic_specs

_UNAUTHORIZED = (TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno)


@dataclass(frozen=True)
class WantedTopic:
    """A topic of a run as declared, by its full name; a run may lack one that is `optional`."""

    name: str
    partitions: int
    config: dict[str, str]
    optional: bool = False


@dataclass(frozen=True)
class TopicDifference:
    """A property of a topic that is not as declared: `partitions`, or a configuration key."""

    topic: str
    property: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.property} is {self.found}, declared is {self.wanted}"


@dataclass(frozen=True)
class TopicPlan:
    """What `apply` would do. `existing` are those that are there, as declared or not."""

    existing: tuple[WantedTopic, ...]
    missing: tuple[WantedTopic, ...]
    differences: tuple[TopicDifference, ...]


def wanted_topics(run: str, clusters: int) -> tuple[WantedTopic, ...]:
    """Every topic of a run: the declared ones, each with its dead-letter topic after it.

    A dead-letter topic has one partition and its topic's configuration.
    Raises ConfigurationError for a run name or number of clusters that will not do.
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
    """Compare the cluster with what is declared; changes nothing.

    Raises BrokerError when it does not answer, ClusterRefused when it does not show us the topics or how they are.
    """
    wanted = wanted_topics(run, clusters)
    with administrator(settings) as admin:
        return _plan(settings, admin, run, wanted)


def apply(settings: Settings, run: str, clusters: int) -> TopicPlan:
    """Create what is missing and wait until it can be used; returns the plan that was carried out.

    Raises TopicMismatch naming all differences, having created nothing, when a topic is there but not as declared.
    Two programs may apply the same plan at once.
    """
    wanted = wanted_topics(run, clusters)
    with administrator(settings) as admin:
        found = _plan(settings, admin, run, wanted)
        _refuse_differences(run, found)
        _create(admin, settings, found.missing)
        # Another program may have created one meanwhile, in its own way.
        _refuse_differences(run, _plan(settings, admin, run, wanted))
    return found


def check(settings: Settings, run: str, clusters: int) -> None:
    """Raise RunError for a topic that a run needs and is missing, TopicMismatch for topics that are not as declared."""
    found = plan(settings, run, clusters)
    missing = [topic for topic in found.missing if not topic.optional]
    if missing:
        raise RunError(
            f"Run {run!r} lacks {len(missing)} topics on {settings.bootstrap_servers}, the first is "
            f"{missing[0].name}. `sedi topics apply --run {run} --clusters {clusters}` makes them."
        )
    _refuse_differences(run, found)


def clusters_of_run(settings: Settings, run: str) -> int | None:
    """The clusters that the run's `kept` topic was made for, its partition count; None when there is none."""
    with administrator(settings) as admin:
        (topic,) = described(settings, admin, run, [topic_name(run, "kept")])
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
    answers = described(settings, admin, run, [topic.name for topic in wanted])
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
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, dict.fromkeys(topic.config, ""))
        for topic in existing
        if topic.config
    ]
    if not asked:
        return []
    found = admin.describe_configs(asked, config_filter="all")["topic"]
    # Where it is refused, kafka-python passes the error over and gives no key at all.
    refused = [topic.name for topic in existing if topic.config and not found.get(topic.name)]
    if refused:
        raise lacks(settings, *(Right("DescribeConfigs", "topic", name) for name in refused))
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
        raise lacks(settings, *(Right("Create", "topic", name) for name in refused))
    for made in answers:
        # A topic that another program made in this moment is looked at again afterwards.
        if made["error_code"] not in (0, TopicAlreadyExistsError.errno):
            raise BrokerError(
                f"The cluster will not make topic {made['name']}: {made['error_message']} (Kafka error "
                f"{made['error_code']}). Set SEDI_REPLICATION_FACTOR to what the cluster has brokers for."
            )
    admin.wait_for_topics([topic.name for topic in missing])
