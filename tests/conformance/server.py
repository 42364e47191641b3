"""A server on loopback that answers with the forms of the tables, and keeps its own books.

An answer is drawn from (seed, request body, number of earlier requests with that body), so the same run gets the same
answers in any order of requests. Each kind of fault or odd answer has the same probability; the rest are plain answers
with tasks in the alpaca style.

The books record for each request its form, its tokens, and whether the server reported them. They are independent of
the client.
"""

import hashlib
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.conformance.any_server import FORMS as ANY_SERVER
from tests.conformance.dialects import SERVERS, forms_of
from tests.conformance.forms import KINDS, OF_THE_REQUEST, PASSING, Answered, Api, Form, Payload, Reply
from tests.unit.producers.endpoint import BusyServer, bytes_of, running

ODD = tuple(KINDS)[list(KINDS).index("cut") : list(KINDS).index("rate limit")]
DISTURBANCES = (*ODD, *PASSING, *OF_THE_REQUEST)
"""All kinds after which a generator continues."""

_FIRST_NUMBER = re.compile(r"from task (\d+)|(\d+)\. Instruction:$")
_SENT_AT_ONCE = 64 * 1024

Plan = Callable[[bytes, int, Api], tuple[Form, Payload]]
"""Chooses the answer from the request's body, the number of earlier requests with that body, and the API."""


@dataclass
class Entry:
    """One request in the books. `cached_tokens`: those that the form reports. `reported`: the token counts were sent
    completely, in a readable form."""

    form: Form
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reported: bool

    @property
    def unknown(self) -> bool:
        """It used tokens, or may have as far as the client can know, and did not report them."""
        return self.form.worked and not self.reported


@dataclass
class Books:
    """The requests and their answers, in order of arrival."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def prompt_tokens(self) -> int:
        return sum(entry.prompt_tokens for entry in self.entries if entry.reported)

    @property
    def completion_tokens(self) -> int:
        return sum(entry.completion_tokens for entry in self.entries if entry.reported)

    @property
    def cached_tokens(self) -> int:
        return sum(entry.cached_tokens for entry in self.entries if entry.reported)

    @property
    def unknown(self) -> int:
        return sum(entry.unknown for entry in self.entries)

    @property
    def answered(self) -> int:
        """The number of requests with a usable answer."""
        return sum(isinstance(entry.form.want, Answered) for entry in self.entries)

    def by_kind(self) -> Counter[str]:
        return Counter(entry.form.kind for entry in self.entries)


@dataclass(frozen=True)
class Disturbed:
    """The plan of a run: plain answers, and each of `kinds` with the probability `rate`. `server`: None for all."""

    seed: int
    rate: float = 0.03
    server: str | None = None
    kinds: tuple[str, ...] = DISTURBANCES

    def __post_init__(self) -> None:
        if not 0 <= self.rate * len(self.kinds) <= 1:
            raise ValueError(f"{len(self.kinds)} kinds cannot have a probability of {self.rate} each")

    def __call__(self, body: bytes, before: int, api: Api) -> tuple[Form, Payload]:
        draw = random.Random(f"{self.seed}/{hashlib.sha256(body).hexdigest()}/{before}")
        server = self.server or draw.choice(SERVERS)
        place = draw.random() / self.rate if self.rate else len(self.kinds)
        kind = self.kinds[int(place)] if place < len(self.kinds) else "plain"
        forms = known_forms(kind, server, api) or known_forms("plain", server, api)
        return draw.choice(forms), payload_for(body, draw, cut=kind == "cut")


def known_forms(kind: str, server: str, api: Api) -> tuple[Form, ...]:
    """The forms of a kind; plain answers depend on the API."""
    wanted = "completion" if kind == "plain" and api == "completion" else kind
    others = (form for form in ANY_SERVER if form.kind == wanted and form.serves(api))
    return (*forms_of(wanted, server, api), *others)


def payload_for(body: bytes, draw: random.Random, *, cut: bool = False) -> Payload:
    """The content of an answer to a request: tasks, with approximate token counts."""
    text = _tasks(body, draw)
    text = text[: draw.randrange(1, len(text))] if cut else text
    thoughts = draw.randrange(1, 40)
    return Payload(
        text=text,
        prompt_tokens=16 + len(body) // 4,
        completion_tokens=1 + len(text) // 4 + thoughts,
        thought_tokens=thoughts,
        cached_tokens=draw.randrange(len(body) // 4),
        wait_s=draw.randrange(2),
        serial=draw.randrange(2**32),
    )


@contextmanager
def served(plan: Plan) -> Iterator[tuple[str, Books]]:
    """Serve until the context ends. Yields the base URL and the books."""
    books, requests, lock, ending = Books(), Counter[bytes](), threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            api: Api = "chat" if self.path.endswith("/chat/completions") else "completion"
            key = hashlib.sha256(body).digest()
            with lock:
                before = requests[key]
                requests[key] += 1
            try:
                form, payload = plan(body, before, api)
                reply = form.reply(payload)
            except Exception as error:
                books.faults.append(f"{type(error).__name__}: {error}")
                raise
            entry = Entry(
                form,
                payload.prompt_tokens,
                payload.completion_tokens,
                form.cached(payload) or 0,
                form.worked and form.tells,
            )
            with lock:
                books.entries.append(entry)
            try:
                self._send(reply)
            except OSError:  # the client has gone
                entry.reported = False
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            raw = bytes_of(reply.body, reply.headers)
            self.close_connection = reply.how != "whole"
            if reply.how == "silent":
                self._wait_for_the_end()
            if reply.how in ("silent", "nothing"):
                return
            headers = {"content-type": reply.content_type, **reply.headers}
            if reply.how != "endless":
                headers["content-length"] = str(len(raw))
            self.send_response(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            match reply.how:
                case "half":
                    self.wfile.write(raw[: len(raw) // 2])
                case "endless":
                    while not ending.is_set():
                        self.wfile.write(b" " * _SENT_AT_ONCE)
                case _:
                    self.wfile.write(raw)

        def _wait_for_the_end(self) -> None:
            """Wait until the client gives up or the server ends."""
            self.connection.settimeout(0.1)
            while not ending.is_set():
                try:
                    if not self.connection.recv(1):
                        return
                except TimeoutError:
                    continue

        def log_message(self, format: str, *args: Any) -> None:
            """The books are the log."""

    with running(BusyServer(("127.0.0.1", 0), Handler)) as url:
        try:
            yield url, books
        finally:
            ending.set()


_VERBS = ("Name", "Describe", "Compare", "List", "Explain", "Sort", "Translate", "Summarise", "Rewrite", "Plan")
_THINGS = (
    "rivers",
    "bridges",
    "kitchen tools",
    "old maps",
    "bus timetables",
    "birds of a garden",
    "letters to a friend",
    "recipes with beans",
    "rules of a game",
    "reasons to walk",
    "stars of the winter sky",
    "ways to save water",
)


def _tasks(body: bytes, draw: random.Random) -> str:
    """Tasks that continue the request's prompt, in the requested format."""
    request = json.loads(body)
    prompt = request.get("prompt") or request["messages"][-1]["content"]
    tasks = [_task(draw) for _ in range(draw.randrange(1, 5))]
    if "response_format" in request:
        return json.dumps({"tasks": tasks})
    found = _FIRST_NUMBER.search(prompt)
    first = 4 if found is None else int(found[1] or found[2])
    parts = [
        f"{number}. Instruction: {task['instruction']}\n{number}. Input:\n{task['input'] or '<noinput>'}\n"
        f"{number}. Output:\n{task['output']}\n"
        for number, task in enumerate(tasks, start=first)
    ]
    text = "###\n".join(parts)
    return text.removeprefix(f"{first}. Instruction:") if "prompt" in request else text


def _task(draw: random.Random) -> dict[str, str]:
    number = draw.randrange(100_000)
    return {
        "instruction": f"{draw.choice(_VERBS)} {draw.randrange(2, 9)} {draw.choice(_THINGS)} of the year {number}.",
        "input": draw.choice(("", f"Street {number}", "A short text.\n\nWith two paragraphs.")),
        "output": " ".join(draw.choice(_THINGS) for _ in range(draw.randrange(1, 20))).capitalize() + ".",
    }
