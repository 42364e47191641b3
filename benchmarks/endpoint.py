"""A mock endpoint in a separate process: OpenAI's chat API on loopback, with latency and faults.

    python -m benchmarks.endpoint --latency 2 --faults 0.3

It prints its port, and serves until its standard input ends. Each request gets a serial number, which is in its
answer's text; a fault is a function of the serial alone. `GET /stats` reports the requests and the complete answers, to
compare with the ledger. It does not know what a client received.
"""

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

FAULTS = ("rate_limited", "server_error", "slow", "cut", "garbled")
PROMPT_TOKENS, COMPLETION_TOKENS = 700, 60
_SLOWER = 3.0
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - for a child's cwd


@dataclass
class Served:
    """Statistics so far. `given`: serials of complete answers; `at_s`: when, on a monotonic clock."""

    received: int = 0
    connections: int = 0
    under_way: int = 0
    most_under_way: int = 0
    given: list[int] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)


class Endpoint:
    """The server. `faults` is the share of requests with one of `FAULTS`, each equally often; at most `slots` requests
    are processed at once, and the others wait."""

    def __init__(self, latency_s: float, faults: float, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._latency_s = latency_s
        self._faults = faults
        self._served = Served()

    async def serve(self, port: int) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._served.connections += 1
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and not writer.is_closing():
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                await reader.readexactly(length)
                if head.startswith(b"GET"):
                    self._served.connections -= 1
                    await _reply(writer, 200, json.dumps(vars(self._served)))
                else:
                    await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        served = self._served
        serial, served.received = served.received, served.received + 1
        served.under_way += 1
        served.most_under_way = max(served.most_under_way, served.under_way)
        fault = _fault(serial, self._faults)
        served.faults[fault or "none"] += 1
        try:
            if fault == "rate_limited":
                await _reply(writer, 429, '{"error": {"message": "busy"}}', b"retry-after: 1\r\n")
            elif fault == "server_error":
                await _reply(writer, 500, '{"error": {"message": "fault"}}')
            else:
                async with self._slots:
                    await asyncio.sleep(self._latency_s * (_SLOWER if fault == "slow" else 1.0))
                body = _chat(serial)
                if fault == "cut":
                    writer.write(_head(200, len(body)) + body.encode()[: len(body) // 2])
                    await writer.drain()
                    writer.close()
                elif fault == "garbled":
                    await _reply(writer, 200, body[: len(body) // 2] + "\x00" * (len(body) // 2))
                else:
                    await _reply(writer, 200, body)
                    served.given.append(serial)
                    served.at_s.append(time.monotonic())
        finally:
            served.under_way -= 1


@dataclass
class Running:
    """A running endpoint process."""

    url: str

    def stats(self) -> dict[str, Any]:
        """The current `Served`."""
        with urllib.request.urlopen(self.url.replace("/v1", "/stats"), timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
            return found


@contextmanager
def endpoint(latency_s: float, faults: float = 0.0, slots: int = 10_000, port: int = 0) -> Iterator[Running]:
    """Serve until the context ends; by default on a free port."""
    command = [sys.executable, "-m", "benchmarks.endpoint", "--latency", str(latency_s), "--faults", str(faults)]
    command += ["--slots", str(slots), "--port", str(port)]
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}/v1")
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _fault(serial: int, share: float) -> str | None:
    at = int.from_bytes(hashlib.sha256(f"fault/{serial}".encode()).digest()[:8]) / 2**64
    return FAULTS[int(at / share * len(FAULTS))] if at < share else None


def _chat(serial: int) -> str:
    text = f"4. Instruction: Name thing {serial} now.\n4. Input: <noinput>\n4. Output: Thing {serial}."
    return json.dumps(
        {
            "id": str(serial),
            "object": "chat.completion",
            "created": 0,
            "model": "mock",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": PROMPT_TOKENS,
                "completion_tokens": COMPLETION_TOKENS,
                "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
            },
        }
    )


def _head(status: int, length: int, more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
    return head.encode() + more + b"\r\n"


async def _reply(writer: asyncio.StreamWriter, status: int, body: str, more: bytes = b"") -> None:
    raw = body.encode()
    writer.write(_head(status, len(raw), more) + raw)
    await writer.drain()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that meet a fault")
    parser.add_argument("--slots", type=int, default=10_000, help="requests that are worked on at once")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(Endpoint(given.latency, given.faults, given.slots).serve(given.port))
