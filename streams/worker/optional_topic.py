"""Direct reading of a topic that a run may lack, and get later."""

from infra.log.reader import LogReader
from infra.settings import Settings


class OptionalTopic:
    """One topic of a run. `client`: the name of the reader at the cluster."""

    def __init__(self, settings: Settings, run: str, topic: str, client: str) -> None:
        self._settings = settings
        self._run = run
        self._topic = topic
        self._client = client
        self._reader: LogReader | None = None

    def reader(self) -> LogReader | None:
        """Its reader, always the same one; None while the run lacks the topic. Raises BrokerError."""
        if self._reader is None:
            reader = LogReader(self._settings, self._run, [self._topic], self._client)
            if reader.partitions(self._topic):
                self._reader = reader
            else:
                reader.close()
        return self._reader

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
