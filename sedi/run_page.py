"""The page of a run beside it (`sedi run --web`): `sedi web` as a process of its own, which ends with the run.

The run does not depend on it: where the page cannot start, or ends, the run says so and goes on.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.machine.supervisor import Supervisor
from infra.settings import Settings

_PORT = 8765
_NAME = "page"
_IS_THERE = "The page of the run: "
_START_S = 20.0
_END_S = 5.0


@contextmanager
def page_of(settings: Settings, run: str, say: Callable[[str], None], *, wanted: bool) -> Iterator[None]:
    """Serve the page of a configured run while the context lasts, if it is wanted. Its address is said."""
    if not wanted:
        yield
        return
    supervisor = Supervisor(settings, settings.state_dir / run / "logs")
    try:
        port = _PORT if _is_free(_PORT) else 0
        supervisor.start(_NAME, ["web", "--run", run, "--port", str(port), "--json"])
        said = _said(supervisor)
        say(said)
        yield
        if supervisor.ended(_NAME) is not None and said.startswith(_IS_THERE):
            say(f"The page ended before the run: {supervisor.tail(_NAME, 3)}")
        supervisor.stop(_NAME, _END_S)
    finally:
        supervisor.kill()


def _said(supervisor: Supervisor) -> str:
    """What there is to say of a page that was started, when it is there or has ended."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if (address := _address(supervisor.tail(_NAME, 100))) is not None:
            return f"{_IS_THERE}{address}"
        if supervisor.ended(_NAME) is not None:
            return f"The page could not start; the run goes on without it: {supervisor.tail(_NAME, 3)}"
        time.sleep(0.1)
    return f"The page takes long to start; its address will be in {supervisor.children[_NAME].log_file}"


def _address(text: str) -> str | None:
    """The address that `sedi web --json` has printed, among other lines."""
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start:])
        except json.JSONDecodeError:
            return None
        if isinstance(found, dict) and isinstance(found.get("address"), str):
            return str(found["address"])
        start = text.find("{", start + 1)
    return None


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
