"""Whether the server may listen at a port, asked before a model is loaded for it."""

import socket

from schemas.errors import BackendError

HOST = "127.0.0.1"
"""The only address that the server listens at."""


def check_port(port: int) -> None:
    """Raise BackendError when nobody may listen at `port` now. 0, any free port, is not asked.

    Binds and listens as llama.cpp does (SO_REUSEADDR alone), and gives the port back at once. Another process may take
    it before the server does; then the server's own log tells.
    """
    if port == 0:
        return
    try:
        # Sets SO_REUSEADDR where that does not let two processes listen at one port.
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise BackendError(
            f"The built-in server cannot listen at {HOST}:{port}: {error.strerror or error}. Give another port, or 0 "
            "(or none) for any that is free."
        ) from error
