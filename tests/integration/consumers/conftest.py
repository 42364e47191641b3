"""What tests of the readers share: the cluster that their commands find."""

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker
from infra.settings import Settings


@pytest.fixture
def cluster(broker: TemporaryBroker, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The broker's cluster, also for commands that are run here."""
    monkeypatch.setenv("SEDI_BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SEDI_STATE_DIR", str(broker.settings.state_dir))
    return broker.settings
