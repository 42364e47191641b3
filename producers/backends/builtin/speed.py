"""How fast the built-in model answers on this machine, while something else is at work on it too."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from producers.backends.builtin.server import BuiltinServer
from producers.backends.choice import BUILTIN_IN_FLIGHT
from producers.prompts.two_step import answer_request


class LlmTrial(AbstractContextManager["LlmTrial"]):
    """Asks a running server for answers to these instructions, as many at once as a generator does, over and over until
    the context ends. They are the two-step style's, so that reading prompts takes its share of the time."""

    def __init__(self, server: BuiltinServer, instructions: Sequence[str]) -> None:
        self._address = urlsplit(server.base_url).netloc
        self._instructions = instructions
        self._over = threading.Event()
        self._came: list[float] = []  # when each token was written
        self._pool = ThreadPoolExecutor(BUILTIN_IN_FLIGHT)

    def __enter__(self) -> Self:
        self._asking = [self._pool.submit(self._ask_on, number) for number in range(BUILTIN_IN_FLIGHT)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._pool.shutdown()

    def tokens_per_s(self, since: float) -> float:
        """Tokens a second that were written since a time of `time.monotonic`.

        Raises OSError or http.client.HTTPException when the server does not answer.
        """
        for asking in self._asking:
            if asking.done():
                asking.result()
        now = time.monotonic()
        return sum(1 for at in tuple(self._came) if at >= since) / (now - since)

    def _ask_on(self, number: int) -> None:
        while not self._over.is_set():
            self._ask(self._instructions[number % len(self._instructions)])
            number += BUILTIN_IN_FLIGHT

    def _ask(self, instruction: str) -> None:
        request = answer_request(instruction)
        messages = [{"role": each.role, "content": each.content} for each in request.messages]
        body = {"messages": messages, "max_tokens": request.sampling.max_tokens, "temperature": 0.7, "stream": True}
        with closing(http.client.HTTPConnection(self._address, timeout=60)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            for line in connection.getresponse():
                if b'"content":"' in line:
                    self._came.append(time.monotonic())
                if self._over.is_set():
                    return
