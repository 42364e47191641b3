"""The server process: llama.cpp's HTTP server, run until a signal comes or the parent process has ended.

It writes one line to its standard output, its address; llama.cpp's own output goes to standard error. With
`--parent PID` it ends when that process is no longer its parent. It polls for that, because PR_SET_PDEATHSIG would also
fire when only the thread that started this process ends.
"""

import argparse
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from infra.settings import load
from producers.backends.builtin.model import MODEL_NAME, served_file
from schemas.errors import BackendError, SediError

HOST = "127.0.0.1"
"""The only address that the server listens on."""

_WATCH_S = 0.5
_WARNINGS = 2  # verbosity: errors and warnings, a line or two a start


@dataclass(frozen=True)
class LlamaOptions:
    """What is served and how; see `producers.backends.builtin.server.ServerSettings`."""

    model: Path
    name: str
    port: int
    slots: int
    threads: int
    context_per_slot: int


def check_port(port: int) -> None:
    """Raise BackendError if `port` cannot be listened on now. 0, any free port, is not checked.

    Binds and listens as llama.cpp does (SO_REUSEADDR only), and releases the port at once. If another process takes it
    before the server does, the server's log has the reason.
    """
    if port == 0:
        return
    try:
        # Sets SO_REUSEADDR where that does not let two processes listen on one port.
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise BackendError(
            f"The built-in server cannot listen at {HOST}:{port}: {error.strerror or error}. Give another port, or 0 "
            "(or none) for any free one."
        ) from error


def serve(options: LlamaOptions, parent: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until `parent` is no longer this process's parent.

    Raises RuntimeError when llama.cpp cannot start; its log has the reason.
    """
    # Blocked before any thread starts, so that llama.cpp's threads inherit it and `sigwait` gets the signal.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    if parent is not None:
        threading.Thread(target=_watch, args=(parent,), name="parent watch", daemon=True).start()
    address_pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.name}
    params.hostnames = [HOST]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context_per_slot
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    # Each request holds a thread; spare ones answer /health meanwhile.
    params.n_threads_http = 2 * options.slots + 2
    params.cache_ram_mib = 0  # prompts differ from their third line on, so a prompt cache would not help
    params.ui = False
    params.endpoint_slots = False
    params.offline = True
    params.verbosity = _WARNINGS
    server = xllamacpp.Server(params)

    address_pipe.write(f"{server.listening_address}\n")
    address_pipe.close()
    signal.sigwait(signals)
    # Not `del server`, which waits for every answer in flight.
    sys.stderr.flush()
    os._exit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the built-in model, OpenAI-compatible, on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--slots", type=int, default=8, help="requests answered at once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--context-per-slot", type=int, default=2048, help="tokens of prompt and answer")
    parser.add_argument("--model", type=Path, help="another GGUF than the built-in one")
    parser.add_argument("--name", help="the model's name")
    parser.add_argument("--parent", type=int, help="end when this process does")
    given = parser.parse_args()
    try:
        check_port(given.port)
        options = LlamaOptions(
            model=given.model or served_file(load().cache_dir),
            name=given.name or (given.model.stem if given.model else MODEL_NAME),
            port=given.port,
            slots=given.slots,
            threads=given.threads,
            context_per_slot=given.context_per_slot,
        )
    except SediError as error:
        sys.exit(str(error))
    try:
        serve(options, given.parent)
    except RuntimeError as error:
        # llama.cpp writes its log in a thread; its last lines may be lost.
        sys.exit(f"llama.cpp could not serve {options.model} at port {options.port or 'any'}: {error}")


if __name__ == "__main__":
    main()
