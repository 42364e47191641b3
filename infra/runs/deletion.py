"""Deletes a run from a cluster: its topics, dead letters and changelogs included, and its consumer groups.

The rights to delete are checked first, so that a missing one leaves everything as it was. All topics are deleted by one
request, then the groups, which have nothing left to commit for. A second call deletes what an interrupted one left.
Topics that this program does not know are left. The brokers free the disk a minute later (`file.delete.delay.ms`).
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from kafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupIdNotFoundError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from infra.cluster.admin import administrator
from infra.cluster.refusals import Right, missing_rights, status_hint
from infra.runs.extent import topics_of
from infra.settings import Settings
from schemas.errors import BrokerError, ClusterRefused
from schemas.topics import topic_name

_GONE_S = 60.0
_LOOK_S = 0.1
_DELETED = ("OK", GroupIdNotFoundError.__name__)


class RunDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted from the cluster, by full name; `groups_left` have members that are still at work."""

    topics: tuple[str, ...]
    groups: tuple[str, ...]
    groups_left: tuple[str, ...] = ()


def delete_run(
    settings: Settings, run: str, progress: Callable[[int, int], None] = lambda done, of: None
) -> RunDeletion:
    """Delete a run's topics and groups, and wait until the cluster has forgotten the topics.

    Raises ClusterRefused, with nothing deleted, when the user lacks the right to Delete one of them; BrokerError when
    the cluster does not delete.
    """
    with administrator(settings) as admin:
        described = topics_of(settings, admin, run)
        topics = [topic["name"] for topic in described]
        listed = (group["group_id"] for group in admin.list_groups())
        groups = sorted(group for group in listed if group.startswith(topic_name(run, "")))
        _require_rights(settings, described, admin.describe_groups(groups) if groups else {})
        if topics:
            _delete_topics(settings, admin, topics)
            _wait_gone(settings, admin, topics, progress)
        done, left = _delete_groups(settings, admin, groups)
    return RunDeletion(topics=tuple(topics), groups=done, groups_left=left)


def _require_rights(settings: Settings, topics: Iterable[dict[str, Any]], groups: dict[str, Any]) -> None:
    lacking = [Right("Delete", "topic", topic["name"]) for topic in topics if _may_not_delete(topic)]
    lacking += [Right("Delete", "group", name) for name, group in groups.items() if _may_not_delete(group)]
    if lacking:
        raise missing_rights(settings, *lacking, further="Nothing was deleted. ")


def _may_not_delete(described: dict[str, Any]) -> bool:
    """A cluster without Kafka's authorizer, or an old one, names no operations: then deleting itself shows it."""
    operations = described.get("authorized_operations")
    return operations is not None and len(operations) > 0 and "DELETE" not in operations


def _delete_topics(settings: Settings, admin: Any, topics: list[str]) -> None:
    answers = admin.delete_topics(topics, raise_errors=False)["topics"]
    refused = [answer["name"] for answer in answers if for_code(answer["error_code"]) is TopicAuthorizationFailedError]
    if refused:
        raise missing_rights(
            settings, *(Right("Delete", "topic", name) for name in refused), further="The other topics were deleted. "
        )
    for answer in answers:
        kind = for_code(answer["error_code"])
        # One that is gone was deleted by another program meanwhile.
        if kind not in (NoError, UnknownTopicOrPartitionError):
            raise BrokerError(
                f"The cluster does not delete topic {answer['name']}: {answer.get('error_message') or kind.__name__}. "
                "Does it allow it (delete.topic.enable)? Then give the same command again."
            )


def _wait_gone(settings: Settings, admin: Any, topics: list[str], progress: Callable[[int, int], None]) -> None:
    deadline = time.monotonic() + _GONE_S
    while left := set(topics).intersection(admin.list_topics()):
        progress(len(topics) - len(left), len(topics))
        if time.monotonic() > deadline:
            raise BrokerError(
                f"{len(left)} topics, such as {min(left)}, are still there {_GONE_S:.0f} s after the cluster accepted "
                f"to delete them. Give the same command again. {status_hint(settings)}"
            )
        time.sleep(_LOOK_S)
    progress(len(topics), len(topics))


def _delete_groups(settings: Settings, admin: Any, groups: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The groups that were deleted, and those that have members."""
    if not groups:
        return (), ()
    try:
        answers: dict[str, str] = admin.delete_groups(groups)
    except (GroupAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise _groups_refused(settings, groups) from error
    refused = [name for name, answer in answers.items() if answer == GroupAuthorizationFailedError.__name__]
    if refused:
        raise _groups_refused(settings, refused)
    done = tuple(sorted(name for name, answer in answers.items() if answer in _DELETED))
    return done, tuple(sorted(answers.keys() - set(done)))


def _groups_refused(settings: Settings, groups: list[str]) -> ClusterRefused:
    return missing_rights(
        settings, *(Right("Delete", "group", name) for name in groups), further="The topics were deleted. "
    )
