"""The runs that a cluster has, by the names of its topics."""

from infra.cluster.admin import administrator
from infra.settings import Settings

_BEFORE, _AFTER = "sedi.", ".run"


def run_names(settings: Settings, timeout_s: float = 5.0) -> list[str]:
    """Names of the runs whose topics this user may see. Raises BrokerError when the cluster does not answer in time."""
    with administrator(settings, "sedi-runs", timeout_s) as admin:
        topics = admin.list_topics()
    ends = len(_BEFORE), -len(_AFTER)
    return sorted(name[slice(*ends)] for name in topics if name.startswith(_BEFORE) and name.endswith(_AFTER))
