"""Serves the page of runs in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from consumers.web.server import PageServer


@contextmanager
def serving(server: PageServer) -> Iterator[str]:
    """Serve within the block; gives the address. Fails when the server does not end."""
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.access.address
    finally:
        server.end()
        thread.join(20)
        server.close()
        assert not thread.is_alive()
