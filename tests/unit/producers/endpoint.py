"""A small OpenAI-compatible endpoint on loopback, with scripted responses and a record of the requests."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One HTTP response; a `body` that is a string is sent as it is."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    content_type: str = "application/json"


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Endpoint:
    """`replies` are used up in order, the last one again and again."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def chat(text: str | None, *, finish_reason: str = "stop", usage: bool = True, **message: Any) -> Reply:
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny-1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish_reason}
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Reply(body)


def completion(text: str) -> Reply:
    return Reply(
        {
            "id": "x",
            "object": "text_completion",
            "created": 0,
            "model": "tiny-1",
            "choices": [{"index": 0, "text": text, "finish_reason": "length", "logprobs": None}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }
    )


def error(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    return Reply({"error": {"message": message, "code": code}}, status, headers_of(headers))


def headers_of(named: Mapping[str, str]) -> dict[str, str]:
    """Headers by the names that Python can give them: an underscore for each dash."""
    return {name.replace("_", "-"): value for name, value in named.items()}


def bytes_of(body: Any, headers: Mapping[str, str]) -> bytes:
    """A body as it is sent: JSON, or the bytes or the string that it is, compressed where the headers say so."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return gzip.compress(raw) if headers.get("content-encoding") == "gzip" else raw


class BusyServer(ThreadingHTTPServer):
    """For many clients at once, some of which reset their connection, as those that are killed do: that is no fault."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tests print nothing."""


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Let a server that is bound to loopback serve until the context ends. Gives the base URL."""
    host, port = server.server_address[:2]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://{f'[{host!s}]' if ':' in str(host) else host!s}:{port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def endpoint(*replies: Reply, host: str = "127.0.0.1") -> Iterator[Endpoint]:
    """Serve until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            served.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            reply = served.next_reply()
            time.sleep(reply.delay_s)
            raw = bytes_of(reply.body, reply.headers)
            try:
                self.send_response(reply.status)
                for name, value in {"content-type": reply.content_type, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:  # the client has gone, as it does after a time-out
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Tests print nothing."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    served = Endpoint("", list(replies))
    with running(Server((host, 0), Handler)) as served.url:
        yield served


@contextmanager
def endless(status: int = 200) -> Iterator[str]:
    """Serve a body that goes on until the client has gone. Gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            with suppress(OSError):  # the client has gone
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                while True:
                    self.wfile.write(b" " * 16_384)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests print nothing."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url
