"""The three addresses of a process: `/metrics`, `/healthz`, `/readyz`.

Served by a thread of its own, so a main loop that is stuck can be asked. Where it listens is written to
`<state>/metrics/<run>-<component>-<pid>.json`, in the form of Prometheus's discovery by files, and removed at the end.
Only GET is answered, and nothing that the process knows beside its metrics. Where it listens for this machine only,
requests to another host's name are refused, so that a website whose name is made to resolve here (DNS rebinding) reads
nothing.
"""

import ipaddress
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from infra.metrics.health import Health, ProcessHealth
from infra.metrics.registry import PrometheusMeters
from schemas.errors import ConfigurationError

TEXT = "text/plain; charset=utf-8"
Answer = tuple[int, bytes, str]
"""Status, body and content type."""


def answers_of(meters: PrometheusMeters, health: ProcessHealth) -> Mapping[str, Callable[[str], Answer]]:
    """What each path answers to a request with this Accept header."""

    def metrics(accept: str) -> Answer:
        body, content_type = meters.exposition(accept)
        return 200, body, content_type

    return {
        "/metrics": metrics,
        "/healthz": lambda _: _told(health.is_alive()),
        "/readyz": lambda _: _told(health.is_ready()),
    }


def _told(found: Health) -> Answer:
    return 200 if found.good else 503, f"{found.why}\n".encode(), TEXT


@contextmanager
def served(
    answers: Mapping[str, Callable[[str], Answer]], *, host: str, port: int, folder: Path, name: str
) -> Iterator[str]:
    """Serve within the block; gives the address as host:port. `port` 0: one that is free.

    folder, name   of the record of where it listens

    Raises ConfigurationError when the port cannot be listened at.
    """

    class Handler(_Handler):
        paths = answers
        local = _is_local(host)

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served at {host}:{port}: {error}. Give another SEDI_METRICS_PORT or --metrics-port; 0 "
            "takes one that is free, which several processes on a machine need."
        ) from error
    address = f"{f'[{host}]' if ':' in host else host}:{server.server_address[1]}"
    record = folder / f"{name.replace('/', '-')}-{os.getpid()}.json"
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        _remove_dead(folder)
        record.write_text(json.dumps([{"targets": [address]}]) + "\n", encoding="utf-8")
        yield address
    finally:
        record.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()


def _is_local(host: str) -> bool:
    """Whether a host is a name or an address of this machine for itself, or its name in containers on it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "host.docker.internal", "host.containers.internal"}


def _remove_dead(folder: Path) -> None:
    """Remove what processes that have died left."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in folder.glob("*.json"):
        number = record.stem.rpartition("-")[2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            record.unlink(missing_ok=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    paths: Mapping[str, Callable[[str], Answer]] = {}
    local = True
    timeout = 10.0

    def do_GET(self) -> None:
        answer = self.paths.get(self.path.partition("?")[0])
        if self.local and not self._means_this():
            status, body, content_type = 421, b"The request is for another host.\n", TEXT
        elif answer is None:
            status, body, content_type = 404, b"There are /metrics, /healthz and /readyz.\n", TEXT
        else:
            status, body, content_type = answer(self.headers.get("Accept", ""))
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _means_this(self) -> bool:
        try:
            return _is_local(urlsplit(f"//{self.headers.get('Host', 'localhost')}").hostname or "")
        except ValueError:
            return False

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: they come every few seconds."""
