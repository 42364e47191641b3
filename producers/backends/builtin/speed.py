"""Measures how fast the built-in model answers on this machine, while other work runs on it too."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from typing import Self
from urllib.parse import urlsplit

from producers.backends.builtin.server import BuiltinServer
from producers.backends.choice import BUILTIN_IN_FLIGHT
from producers.prompts.two_step import answer_request


class LlmTrial(AbstractContextManager["LlmTrial"]):
    """Requests answers to these instructions from a running server, over and over until the context ends, with as many
    calls in flight as a generator has. The prompts are the two-step style's, so that prefill takes its usual share."""

    def __init__(self, server: BuiltinServer, instructions: Sequence[str]) -> None:
        self._address = urlsplit(server.base_url).netloc
        self._instructions = instructions
        self._stopped = threading.Event()
        self._token_times: list[float] = []
        self._pool = ThreadPoolExecutor(BUILTIN_IN_FLIGHT)

    def __enter__(self) -> Self:
        self._workers = [self._pool.submit(self._work, number) for number in range(BUILTIN_IN_FLIGHT)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown()

    def tokens_per_s(self, since: float) -> float:
        """Tokens a second since a time of `time.monotonic`.

        Raises OSError or http.client.HTTPException if the server does not answer.
        """
        for worker in self._workers:
            if worker.done():
                worker.result()
        now = time.monotonic()
        return sum(1 for at in tuple(self._token_times) if at >= since) / (now - since)

    def _work(self, number: int) -> None:
        while not self._stopped.is_set():
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
                    self._token_times.append(time.monotonic())
                if self._stopped.is_set():
                    return
