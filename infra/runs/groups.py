"""The consumer groups that have to do with runs: their own, and those of other programs that read their topics.

A run's own groups are named `sedi.<run>.<name>`. Readers without a group, such as `sedi tail`, are not seen here: a
cluster does not list them. A group is seen only by a user with the right to Describe it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from kafka.errors import GroupAuthorizationFailedError

from schemas.topics import topic_name

_IDLE = ("Empty", "Dead")


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a consumer group: its client id, and the address it connects from as the broker sees it."""

    client: str
    host: str


class RunGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer group.

    own       it is one of the run's, and is deleted with it
    members   those at work now; of a group of a newer protocol they are not known though it is `live`
    """

    name: str
    own: bool
    live: bool
    members: tuple[GroupMember, ...] = ()


def own_groups(admin: Any) -> list[RunGroup]:
    """The groups that are named like a run's, of all runs, by name."""
    return _groups(admin, [group for group in admin.list_groups() if group["group_id"].startswith("sedi.")], own=True)


def is_of(run: str, group: RunGroup) -> bool:
    return group.name.startswith(topic_name(run, ""))


def groups_of(admin: Any, run: str) -> list[RunGroup]:
    """The run's own groups, and after them the others that read its topics or have committed a place in them."""
    prefix = topic_name(run, "")
    listed = admin.list_groups()
    own = [group for group in listed if group["group_id"].startswith(prefix)]
    others = [group for group in listed if not group["group_id"].startswith(prefix)]
    committed = _committed(admin, [group["group_id"] for group in others])
    described = _described(admin, others)
    reading = [
        group
        for group in others
        if any(place.topic.startswith(prefix) for place in committed.get(group["group_id"], ()))
        or any(topic.startswith(prefix) for topic in _assigned(described.get(group["group_id"], {})))
    ]
    return [*_groups(admin, own, own=True), *_groups(admin, reading, own=False)]


def _committed(admin: Any, names: list[str]) -> dict[str, Any]:
    """The committed offsets of groups, without those that the user may list but not describe."""
    if not names:
        return {}
    try:
        found: dict[str, Any] = admin.list_group_offsets(names)
    except GroupAuthorizationFailedError:
        half = len(names) // 2
        return _committed(admin, names[:half]) | _committed(admin, names[half:]) if half else {}
    return found


def _groups(admin: Any, listed: list[dict[str, Any]], *, own: bool) -> list[RunGroup]:
    described = _described(admin, listed)
    return [
        RunGroup(
            name=group["group_id"],
            own=own,
            live=group["group_state"] not in _IDLE,
            members=tuple(
                GroupMember(client=member["client_id"], host=member["client_host"].removeprefix("/"))
                for member in described.get(group["group_id"], {}).get("members", ())
            ),
        )
        for group in sorted(listed, key=lambda group: group["group_id"])
    ]


def _described(admin: Any, listed: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The descriptions of those groups that have members and can be described by the classic request."""
    live = [
        group["group_id"]
        for group in listed
        if group["group_state"] not in _IDLE and group.get("group_type") in ("classic", "", None)
    ]
    found: dict[str, Any] = admin.describe_groups(live) if live else {}
    return {name: group for name, group in found.items() if not group["error"]}


def _assigned(group: dict[str, Any]) -> list[str]:
    """The topics that are assigned to a group's members; none where they use another protocol than Kafka's."""
    assignments = [member.get("member_assignment") for member in group.get("members", ())]
    return [
        topic["topic"]
        for assignment in assignments
        if isinstance(assignment, dict)
        for topic in assignment.get("assigned_partitions", ())
    ]
