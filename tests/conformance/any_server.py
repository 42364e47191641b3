"""Faults that any server may show, for kinds of which its table has none: what the wire does to an answer, mostly.

What a client cannot tell from an answer that was paid for counts as `worked`.
"""

from collections.abc import Callable
from typing import Any

from producers.backends.base import Kind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import LARGEST_ANSWER, Answered, Form, How, Refused, Reply, Said, Waits

_SERVER = "any server"
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"


def _chat(said: Said, content: Any, *, finish_reason: str = "stop", counted: Any = None) -> Reply:
    return Reply(openai.chat(said, {"role": "assistant", "content": content}, finish_reason=finish_reason,
                             counted=counted))  # fmt: skip


def _on_the_wire(how: How) -> Callable[[Said], Reply]:
    return lambda said: Reply(_chat(said, said.text).body, how=how)


def _page(status: int, text: str) -> Callable[[Said], Reply]:
    return lambda _: Reply(_PAGE.format(f"{status} {text}"), status, content_type="text/html")


def _fails(kind: str, name: str, reply: Callable[[Said], Reply], says: str, of: Kind, *, worked: bool = True) -> Form:
    return Form(_SERVER, name, kind, reply, Waits(says, of), worked=worked, tells=False)


def _thoughts_left_out(said: Said) -> Reply:
    counted = openai.usage(said) | {"completion_tokens": said.completion_tokens - said.thought_tokens}
    return _chat(said, said.text, counted=counted)


FORMS = (
    _fails("dropped", "half an answer", _on_the_wire("half"), "broke the connection off", Kind.UNREACHABLE),
    _fails("dropped", "no byte", _on_the_wire("nothing"), "broke the connection off", Kind.UNREACHABLE),
    _fails("too slow", "silence", _on_the_wire("silent"), "did not answer within", Kind.TIME_OUT),
    _fails("garbled", "half of the JSON", lambda _: Reply('{"id": "x", "choices": [{"ind'), "no answer", Kind.GARBLED),
    _fails("garbled", "a page in a 200", lambda _: Reply(_PAGE.format("Sign in"), content_type="text/html"),
           "Sign in", Kind.GARBLED),
    _fails("garbled", "other JSON", lambda _: Reply({"status": "ok"}), "no answer", Kind.GARBLED),
    _fails("garbled", "nothing", lambda _: Reply(""), "no answer", Kind.GARBLED),
    _fails("overloaded in a 200", "503 inside", lambda _: Reply(openai.error(200, "Overloaded", code=503).body),
           "Overloaded", Kind.SERVER_ERROR, worked=False),
    _fails("gateway page", "502", _page(502, "Bad Gateway"), "Bad Gateway", Kind.SERVER_ERROR, worked=False),
    _fails("gateway page", "503", _page(503, "Service Temporarily Unavailable"), "Temporarily Unavailable",
           Kind.SERVER_ERROR, worked=False),
    _fails("gateway page", "504", _page(504, "Gateway Time-out"), "Gateway Time-out", Kind.TIME_OUT),
    Form(_SERVER, "too large, counted", "huge", lambda said: _chat(said, said.text + "x" * LARGEST_ANSWER),
         Refused("may be stored", "too_large")),
    Form(_SERVER, "without end", "huge", _on_the_wire("endless"), Refused("may be stored", "too_large"), tells=False),
    Form(_SERVER, "parts", "parts", lambda said: _chat(said, [{"type": "text", "text": said.text}]), Answered()),
    Form(_SERVER, "thoughts left out", "thoughts not counted", _thoughts_left_out, Answered()),
)  # fmt: skip
