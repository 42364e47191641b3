"""Whether our user has the rights that a program needs, asked before it starts, where it would hang without them.

Faust's consumer waits for ever in silence when it may not join its group. The cluster says itself what we may do with a
group; one that does not know (an old one, or one without an authorizer of Kafka's) is believed to allow it.
"""

import time
from collections.abc import Iterable
from typing import Any

from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, KafkaError

from infra.cluster.admin import administrator
from infra.cluster.refusals import Right, lacks, refusal
from infra.settings import Settings

_COORDINATOR_S = 30.0  # a new cluster makes the topic of its groups when it is first asked for one


def require_groups(settings: Settings, groups: Iterable[str]) -> None:
    """Raise ClusterRefused for groups that our user may not join or commit for (Read)."""
    if settings.security_protocol == "PLAINTEXT":
        return
    with administrator(settings) as admin:
        for group in groups:
            try:
                found = _described(admin, group)
            except KafkaError as error:
                refused = refusal(settings, error, Right("Read", "group", group))
                if refused is not None:
                    raise refused from error
                raise
            operations = found.get("authorized_operations")
            if "AuthorizationFailed" in (found["error"] or "") or (operations and "READ" not in operations):
                raise lacks(settings, Right("Read", "group", group))


def _described(admin: Any, group: str) -> Any:
    """What the cluster says of a group, once it has somebody who knows."""
    deadline = time.monotonic() + _COORDINATOR_S
    while True:
        try:
            return admin.describe_groups([group])[group]
        except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
