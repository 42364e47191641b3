"""Consumer groups as other programs leave them: with a committed place, and nobody at work."""

import time

from kafka import TopicPartition
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NoError
from kafka.structs import OffsetAndMetadata

from infra.cluster.admin import administrator
from infra.settings import Settings

_COORDINATOR_S = 60.0  # a new cluster makes its topic of groups at the first request


def commit_place(settings: Settings, group: str, topic: str) -> None:
    """Commit the beginning of a topic for a group."""
    place = TopicPartition(topic, 0)
    deadline = time.monotonic() + _COORDINATOR_S
    with administrator(settings) as admin:
        while time.monotonic() < deadline:
            try:
                if admin.alter_group_offsets(group, {place: OffsetAndMetadata(0, "", -1)}) == {place: NoError}:
                    return
            except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError):
                pass
            time.sleep(0.2)
    raise AssertionError(f"group {group} has no coordinator after {_COORDINATOR_S:.0f} s")
