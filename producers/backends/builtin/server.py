"""Serves the built-in model, OpenAI-compatible, on this machine, in a child process.

    with BuiltinServer(settings) as server:
        ...  # server.base_url, server.model

The child runs llama.cpp's own server (from `xllamacpp`) on 127.0.0.1: `/v1/completions`, `/v1/chat/completions`, both
with usage, the latter also with `response_format` of type `json_schema`; `/health`. Its standard output has its
address; all other output is appended to `builtin-server.log` under `state_dir`.

Guarantees: `start` returns when the server answers; the child ends within a second or two of its parent, however the
parent ends; a Ctrl-C in the terminal reaches only the parent, which may still need answers while it drains.
Not guaranteed: access control. There is no key, so any process that reaches this machine's loopback can use it.

By hand: `python -m producers.backends.builtin.server --port 8080`.
"""

import http.client
import os
import selectors
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.distribution import python_module
from producers.backends.builtin.llama import check_port
from producers.backends.builtin.model import MODEL_NAME, Progress, quiet, served_file
from schemas.errors import BackendError, ConfigurationError

_PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class ServerSettings:
    """How the model is served.

    port               0: any free one
    slots              requests answered at once; further ones wait
    threads            CPU threads; a second one gave 6 % more speed for half a core more
    context_per_slot   tokens of prompt and answer together; 23 kB of memory each
    model              another GGUF than the built-in one
    """

    state_dir: Path
    cache_dir: Path
    port: int = 0
    slots: int = 8
    threads: int = 1
    context_per_slot: int = 2048
    model: Path | None = None
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        least = min(self.slots, self.threads, self.context_per_slot)
        if least < 1 or not 0 <= self.port < 65536:
            raise ConfigurationError(
                f"The built-in server cannot run with {self.slots} slots, {self.threads} threads, a context of "
                f"{self.context_per_slot} and port {self.port}: all must be 1 or more, the port 0 to 65535."
            )


class BuiltinServer:
    """One server process, from `start` to `stop`."""

    def __init__(self, settings: ServerSettings, progress: Progress = quiet) -> None:
        self._settings = settings
        self._progress = progress
        self._child: subprocess.Popen[bytes] | None = None
        self._address = ""

    def __enter__(self) -> "BuiltinServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self._address}/v1"

    @property
    def model(self) -> str:
        """The name of the served model."""
        return MODEL_NAME if self._settings.model is None else self._settings.model.stem

    @property
    def pid(self) -> int | None:
        """Of the running child; None if there is none."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def log_file(self) -> Path:
        return self._settings.state_dir / "builtin-server.log"

    def start(self) -> None:
        """Start the child and wait until it answers.

        Raises BackendError when the port is taken or the child fails (with the end of its log), ConfigurationError when
        the model is missing.
        """
        if self.pid is not None:
            return
        settings = self._settings
        check_port(settings.port)
        file = settings.model or served_file(settings.cache_dir, self._progress)
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        arguments = {
            "--model": file.resolve(),
            "--name": self.model,
            "--port": settings.port,
            "--slots": settings.slots,
            "--threads": settings.threads,
            "--context-per-slot": settings.context_per_slot,
            "--parent": os.getpid(),
        }
        # with which the child finds this package from any folder
        path = os.pathsep.join([str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
        words = (str(word) for pair in arguments.items() for word in pair)
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(
                python_module("producers.backends.builtin.llama", *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"},
                start_new_session=True,
            )
        try:
            self._address = self._read_address(self._child)
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Terminate the child, and kill it if it does not end. Does nothing if there is none."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(self._settings.stop_timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()

    def _read_address(self, child: subprocess.Popen[bytes]) -> str:
        assert child.stdout is not None
        line = _first_line(child.stdout, self._settings.start_timeout_s)
        if line is None:
            raise self._failed(f"did not start within {self._settings.start_timeout_s:g} s")
        if not line.startswith("http://"):
            with suppress(subprocess.TimeoutExpired):
                child.wait(self._settings.stop_timeout_s)  # it closes the pipe before its last log lines
            raise self._failed("ended while it was starting")
        return line

    def _wait_until_healthy(self) -> None:
        host, _, port = self._address.removeprefix("http://").partition(":")
        deadline = time.monotonic() + self._settings.start_timeout_s
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            try:
                connection.request("GET", "/health")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except (OSError, http.client.HTTPException):
                if self.pid is None:
                    raise self._failed("ended while it was starting") from None
            finally:
                connection.close()
            time.sleep(0.1)
        raise self._failed(f"did not answer within {self._settings.start_timeout_s:g} s")

    def _failed(self, what: str) -> BackendError:
        tail = self.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-4:]
        return BackendError(
            f"The built-in server {what}. The end of {self.log_file}: {' | '.join(tail) or '(empty)'}. Is there memory "
            f"for {self._settings.slots} slots of {self._settings.context_per_slot} tokens?"
        )


def _first_line(pipe: IO[bytes], timeout_s: float) -> str | None:
    """The first line of a pipe, empty if the pipe ends; None if none came in time."""
    read = b""
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not read.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            byte = os.read(pipe.fileno(), 1)
            if not byte:
                return ""
            read += byte
    return read.decode().strip()


if __name__ == "__main__":
    from producers.backends.builtin.llama import main

    main()
