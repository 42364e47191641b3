"""Checks that the server may listen on a port, before a model is loaded for it."""

import socket

from schemas.errors import BackendError

HOST = "127.0.0.1"
"""The only address that the server listens on."""


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
