"""How fast the built-in model writes on this machine, by a trial of a few seconds."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from producers.builtin.server import BuiltinServer

_ANSWERS, _TOKENS = 8, 32
_PROMPT = "Come up with a series of tasks:\n1."


def llm_speed(server: BuiltinServer) -> float:
    """Tokens a second that a running server writes, with as many answers under way as a generator keeps up.

    Raises OSError or http.client.HTTPException when it does not answer.
    """
    address = urlsplit(server.base_url).netloc

    def ask(number: int) -> int:
        connection = http.client.HTTPConnection(address, timeout=120)
        try:
            body = {"prompt": _PROMPT, "max_tokens": _TOKENS, "seed": number, "temperature": 1.0}
            connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            return int(json.loads(connection.getresponse().read())["usage"]["completion_tokens"])
        finally:
            connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        written = sum(pool.map(ask, range(_ANSWERS)))
    return written / (time.perf_counter() - started)
