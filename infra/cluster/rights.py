"""Checks the user's rights before a program starts that would hang without them.

Faust's consumer waits forever, silently, when it may not join its group. The cluster reports the operations allowed on
a group; one that reports none (an old one, or one without Kafka's authorizer) is assumed to allow all.
"""

import time
from collections.abc import Iterable
from typing import Any

from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, KafkaError

from infra.cluster.admin import administrator
from infra.cluster.refusals import Right, missing_rights, refusal
from infra.settings import Settings

_COORDINATOR_S = 30.0  # a new cluster creates its group topic on the first request


def require_groups(settings: Settings, groups: Iterable[str]) -> None:
    """Raise ClusterRefused for a group that the user may not join or commit for (Read)."""
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
                raise missing_rights(settings, Right("Read", "group", group))


def _described(admin: Any, group: str) -> Any:
    """The cluster's description of a group, once it has a coordinator."""
    deadline = time.monotonic() + _COORDINATOR_S
    while True:
        try:
            return admin.describe_groups([group])[group]
        except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
