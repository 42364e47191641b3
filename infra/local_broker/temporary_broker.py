"""A temporary local broker, with free ports and its own folder, for tests, trials and benchmarks.

It is a real broker that can be paused, killed and restarted. If its owner process is killed, the next
`temporary_broker` with the same `state_dir` removes it.
"""

import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from infra.local_broker import broker
from infra.local_broker.broker_home import home, read, read_pid
from infra.machine.processes import ProcessMark, find_process, process_mark
from infra.settings import Settings
from schemas.errors import BrokerError


@dataclass(frozen=True)
class TemporaryBroker:
    """A running temporary broker. `settings` are the caller's, with this broker's `state_dir` and address."""

    settings: Settings
    short_lived: bool
    further: Mapping[str, str] | None = None

    @property
    def bootstrap(self) -> str:
        return self.settings.bootstrap_servers

    def status(self) -> broker.BrokerStatus:
        return broker.status(self.settings)

    def pause(self) -> None:
        """Suspend the process: connections stay open, requests get no response."""
        self._process().suspend()

    def resume(self) -> None:
        """Resume a paused process."""
        self._process().resume()

    def kill(self) -> None:
        """SIGKILL the process, without cleanup or flush; returns when it has ended."""
        process = self._process()
        process.kill()
        process.wait(10)

    def stop(self) -> None:
        """Stop it cleanly. The data stays until the context ends."""
        broker.stop(self.settings)

    def restart(self, wait_s: float = 60.0) -> None:
        """Start it again, on the same port and data, after `kill` or `stop`."""
        broker.start(self.settings, wait_s, short_lived=self.short_lived, further=self.further)

    def _process(self) -> psutil.Process:
        saved = read_pid(home(self.settings))
        process = None if saved is None else find_process(saved[0])
        if process is None:
            raise BrokerError(f"The temporary broker at {self.bootstrap} does not run. Restart it first.")
        return process


@contextmanager
def temporary_broker(
    settings: Settings, wait_s: float = 60.0, *, short_lived: bool = True, further: Mapping[str, str] | None = None
) -> Iterator[TemporaryBroker]:
    """Start a broker, yield it, then stop it and remove its data. `settings` name the folders of jars and state.

    To measure throughput, pass `short_lived=False`; for `further` properties see `broker.start`.
    """
    root = settings.state_dir.expanduser().resolve() / "temporary"
    root.mkdir(parents=True, exist_ok=True)
    _sweep(settings, root)
    folder = Path(tempfile.mkdtemp(prefix="broker-", dir=root))
    own = _with(settings, folder, free_port())
    try:
        (folder / "owner.json").write_text(json.dumps(asdict(process_mark(psutil.Process().pid))), encoding="utf-8")
        broker.start(own, wait_s, short_lived=short_lived, further=further)
        yield TemporaryBroker(own, short_lived, further)
    finally:
        broker.stop(own, wait_s=10)
        shutil.rmtree(folder)


def free_port() -> int:
    """A port that is free together with the next one, below the system's ephemeral ports."""
    for _ in range(100):
        port = random.randrange(20_000, 32_000, 2)
        if not broker.taken_ports(port):
            return port
    raise BrokerError("No two free ports between 20000 and 32000 were found in 100 tries. End what holds them.")


def _sweep(settings: Settings, root: Path) -> None:
    for folder in root.glob("broker-*"):
        owner = read(folder / "owner.json")
        if owner is None or find_process(ProcessMark(**json.loads(owner))) is not None:
            continue
        broker.stop(_with(settings, folder, settings.broker_port), wait_s=5)
        shutil.rmtree(folder, ignore_errors=True)


def _with(settings: Settings, folder: Path, port: int) -> Settings:
    return settings.model_copy(
        update={"state_dir": folder, "bootstrap_servers": f"127.0.0.1:{port}", "security_protocol": "PLAINTEXT"}
    )
