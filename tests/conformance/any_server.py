"""Answers that any server may give beside those of its table: valid JSON that is no answer, and too large an answer."""

from producers.backends.base import Kind
from tests.conformance.dialects import openai_form as openai
from tests.conformance.forms import LARGEST_ANSWER, Form, Refused, Reply, Said, Waits

_SERVER = "any server"


def _too_large(said: Said) -> Reply:
    return Reply(openai.chat(said, {"role": "assistant", "content": said.text + "x" * LARGEST_ANSWER}))


FORMS = (
    Form(_SERVER, "too large, counted", "huge", _too_large, Refused("may be stored", "too_large")),
    Form(_SERVER, "other JSON", "garbled", lambda _: Reply({"status": "ok"}), Waits("no answer", Kind.GARBLED),
         tells=False),
    Form(_SERVER, "a list", "garbled", lambda _: Reply([]), Waits("no answer", Kind.GARBLED), tells=False),
)  # fmt: skip
