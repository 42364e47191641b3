"""A server on loopback with files and batches as the OpenAI documentation describes them, and faults on demand.

It keeps the books: how often each request was carried out, and the tokens of each. A test reaches the moments of a
batch by `hold`: the server then does what it was asked for and keeps the response back until `release`.
"""

import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal

from tests.unit.producers.endpoint import BusyServer, running

Fate = Literal["completed", "expired", "cancelled", "half_failed", "failed", "full", "strange"]
Moment = Literal["upload", "create", "retrieve", "list", "content"]

PROMPT_TOKENS, COMPLETION_TOKENS = 40, 10
_FILE_NAME = re.compile(rb'name="file"; filename="([^"]*)"')


@dataclass
class ServedBatch:
    """A batch: its fate is drawn when it is created."""

    id: str
    file_id: str
    endpoint: str
    metadata: dict[str, str]
    fate: Fate
    ids: list[str]
    created: float
    looks: int = 0
    output: bytes = b""
    errors: bytes = b""


@dataclass
class BatchBooks:
    """The state of the server.

    carried_out   how often a request was answered, and so is paid for, by custom id
    faults        responses to be given in place of the next ones, by moment: a status, or 0 to break the connection off
                  after the work was done
    fates         of the next batches; when used up, `completed`
    """

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    batches: dict[str, ServedBatch] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    carried_out: Counter[str] = field(default_factory=Counter)
    fates: list[Fate] = field(default_factory=list)
    faults: dict[Moment, list[int]] = field(default_factory=dict)
    keeps_metadata: bool = True
    seen: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    held: dict[Moment, threading.Event] = field(default_factory=dict)
    arrived: dict[Moment, threading.Event] = field(default_factory=dict)
    text: Callable[[dict[str, Any]], str] = lambda body: "4\nSo."
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def tokens(self) -> tuple[int, int]:
        answered = self.carried_out.total()
        return answered * PROMPT_TOKENS, answered * COMPLETION_TOKENS

    def hold(self, moment: Moment) -> threading.Event:
        """Keep back the responses of a moment. Returns what is set when the first is due."""
        self.held[moment], self.arrived[moment] = threading.Event(), threading.Event()
        return self.arrived[moment]

    def release(self, moment: Moment) -> None:
        self.held.pop(moment).set()

    def upload(self, raw: bytes) -> dict[str, Any]:
        name = _FILE_NAME.search(raw)
        start = raw.index(b"\r\n\r\n", 0 if name is None else name.start()) + 4
        content = raw[start : raw.index(b"\r\n--", start)]
        assert b'name="purpose"' in raw
        id = f"file-{len(self.files)}"
        self.files[id] = ("" if name is None else name[1].decode(), content)
        return {"id": id, "object": "file", "bytes": len(content), "purpose": "batch", "filename": self.files[id][0]}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        _, content = self.files[body["input_file_id"]]
        lines = [json.loads(line) for line in content.splitlines()]
        assert body["completion_window"] == "24h"
        assert {line["url"] for line in lines} == {body["endpoint"]}
        assert len({line["custom_id"] for line in lines}) == len(lines)
        fate = self.fates.pop(0) if self.fates else "completed"
        ids = [line["custom_id"] for line in lines]
        batch = ServedBatch(
            f"batch_{next(self.numbers)}",  # a number is never given twice
            body["input_file_id"],
            body["endpoint"],
            body.get("metadata", {}) if self.keeps_metadata else {},
            fate,
            ids,
            time.time(),
        )
        self.batches[batch.id] = batch
        self._work(batch, lines)
        return self.shown(batch)

    def _work(self, batch: ServedBatch, lines: list[dict[str, Any]]) -> None:
        done = {"completed": len(lines), "strange": len(lines), "failed": 0, "full": 0}
        most = done.get(batch.fate, len(lines) // 2)
        output, errors = [], []
        for line in lines[:most]:
            self.carried_out[line["custom_id"]] += 1
            output.append(_line(line["custom_id"], 200, self._answer(line["body"])))
        for line in lines[most:]:
            if batch.fate == "half_failed":
                error = {"error": {"message": "The server had an error.", "type": "server_error", "code": None}}
                errors.append(_line(line["custom_id"], 500, error))
            elif batch.fate in ("expired", "cancelled"):
                why = {"code": f"batch_{batch.fate}", "message": "This request could not be executed."}
                errors.append(json.dumps({"id": "x", "custom_id": line["custom_id"], "response": None, "error": why}))
        if batch.fate == "strange":
            output = [*output[:1], *output, "{no json", _line("someone-else/1", 200, {}), json.dumps([1]), ""]
        batch.output, batch.errors = "\n".join(output).encode(), "\n".join(errors).encode()

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS}
        usage["total_tokens"] = PROMPT_TOKENS + COMPLETION_TOKENS
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        text = self.text(body)
        choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
        return {"id": "x", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}

    def shown(self, batch: ServedBatch) -> dict[str, Any]:
        """The batch as the API shows it; it is over at the third look."""
        over = batch.looks > 2
        end = {"half_failed": "completed", "strange": "completed", "full": "failed"}.get(batch.fate, batch.fate)
        status = end if over else ("validating", "in_progress", "finalizing")[batch.looks]
        answered = batch.output.count(b'"custom_id"') if over else 0
        found: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "input_file_id": batch.file_id,
            "completion_window": "24h",
            "status": status,
            "created_at": int(batch.created),
            "metadata": batch.metadata or None,
            "request_counts": {"total": len(batch.ids), "completed": answered, "failed": batch.errors.count(b"\n") + 1},
            "output_file_id": f"{batch.id}-output" if over and batch.output else None,
            "error_file_id": f"{batch.id}-errors" if over and batch.errors else None,
        }
        if over:
            found[f"{end}_at"] = int(batch.created) + 60
        if over and batch.fate in ("failed", "full"):
            code = "token_limit_exceeded" if batch.fate == "full" else "invalid_json_line"
            found["errors"] = {"object": "list", "data": [{"code": code, "message": f"It is {batch.fate}.", "line": 1}]}
        return found

    def listed(self, query: dict[str, str]) -> dict[str, Any]:
        """The batches, newest first."""
        all_of = sorted(self.batches.values(), key=lambda batch: -int(batch.id.removeprefix("batch_")))
        after = query.get("after")
        left = list(itertools.dropwhile(lambda batch: batch.id != after, all_of))[1:] if after else all_of
        limit = min(2, int(query.get("limit", "20")))  # small pages
        return {"object": "list", "data": [self.shown(one) for one in left[:limit]], "has_more": len(left) > limit}


def _line(custom_id: str, status: int, body: dict[str, Any]) -> str:
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "x", "custom_id": custom_id, "response": response, "error": None})


@contextmanager
def batch_server(*fates: Fate) -> Iterator[tuple[str, BatchBooks]]:
    """Serve until the context ends. Yields the base URL and the books."""
    books = BatchBooks(fates=list(fates))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            if self.path.endswith("/files"):
                self._respond("upload", lambda: books.upload(raw))
            else:
                self._respond("create", lambda: books.create(json.loads(raw)))

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            parts = path.split("/")
            if parts[-1] == "batches":
                self._respond("list", lambda: books.listed(dict(one.split("=") for one in query.split("&") if one)))
            elif parts[-1] == "content":
                id, _, kind = parts[-2].rpartition("-")
                batch = books.batches.get(id)
                self._respond(
                    "content", lambda: b"" if batch is None else getattr(batch, kind), known=batch is not None
                )
            else:
                batch = books.batches.get(parts[-1])
                if batch is not None:
                    batch.looks += 1
                self._respond("retrieve", lambda: books.shown(books.batches[parts[-1]]), known=batch is not None)

        def _respond(self, moment: Moment, work: Callable[[], Any], *, known: bool = True) -> None:
            books.seen[moment] += 1
            books.keys.add(self.headers.get("authorization", ""))
            fault = books.faults[moment].pop(0) if books.faults.get(moment) else None
            if fault:
                self._send(fault, {"error": {"message": "Not now.", "code": None}})
                return
            if not known:
                self._send(404, {"error": {"message": "No such object.", "code": None}})
                return
            with books.lock:
                body = work()
            held = books.held.get(moment)
            if held is not None:
                books.arrived[moment].set()
                held.wait(120)
            if fault == 0:
                self.close_connection = True
                return
            self._send(200, body)

        def _send(self, status: int, body: Any) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:  # the client has gone
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """The books are the log."""

    with running(BusyServer(("127.0.0.1", 0), Handler)) as url:
        try:
            yield url, books
        finally:
            for event in books.held.values():
                event.set()
