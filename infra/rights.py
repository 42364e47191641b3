"""Whether our user has the rights that a program needs, asked before it starts, where it would hang without them.

Faust's consumer waits for ever in silence when it may not join its group. The cluster says itself what we may do with a
group; one that does not know (an old one, or one without an authorizer of Kafka's) is believed to allow it.
"""

from collections.abc import Iterable

from kafka.errors import KafkaError

from infra.admin import administrator
from infra.refusals import Right, lacks, refusal
from infra.settings import Settings


def require_groups(settings: Settings, groups: Iterable[str]) -> None:
    """Raise ClusterRefused for groups that our user may not join or commit for (Read)."""
    if settings.security_protocol == "PLAINTEXT":
        return
    with administrator(settings) as admin:
        for group in groups:
            try:
                found = admin.describe_groups([group])[group]
            except KafkaError as error:
                refused = refusal(settings, error, Right("Read", "group", group))
                if refused is not None:
                    raise refused from error
                raise
            operations = found.get("authorized_operations")
            if "AuthorizationFailed" in (found["error"] or "") or (operations and "READ" not in operations):
                raise lacks(settings, Right("Read", "group", group))
