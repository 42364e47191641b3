"""Hostile answers: the forms of all servers and the layouts of all models, with hostile text, on a bad connection.

`Hostile` is a plan of `tests.conformance.server`: its answers depend on its seed, the request and its repetition.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from producers.backends.base import FailureKind
from tests.conformance.any_server import FORMS as ANY_SERVER
from tests.conformance.dialects import FORMS
from tests.conformance.forms import Answered, Api, Form, Payload, Reply, Waits
from tests.conformance.server import payload_for
from tests.unit.core.answer_forms import AROUND, LABELS, NO_INPUTS
from tests.unit.core.answer_forms import forms as dresses

FRAGMENTS: tuple[str, ...] = (
    # control characters, and line ends for some readers only
    "\x00",
    "\x01\x02\x1b[31m",
    "\x7f\x85\x9b",
    "\r",
    "\r\n",
    "\v\f",
    "\t" * 40,
    "\u2028",
    "\u2029",
    "\n" * 60,
    # what is not seen, or turns the line around; what is no character at all
    "\u200b\u200d\ufeff",
    "\u202e)4 .noitcurtsnI(\u202c",
    "\u2066abc\u2069",
    "\ud800",
    "\udc00\ud800",
    "\udfff" * 3,
    "\ufffe\uffff",
    "\U0010ffff",
    # other scripts, and characters of many parts
    "\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3f3\ufe0f",
    "\U0001f1eb\U0001f1f7" * 20,
    "مرحبا بالعالم",
    "שלום עולם",
    "หนึ่งสองสาม",
    "指令：列出三条河",
    "a" + "\u0301" * 200,
    # marks of chat templates and thoughts
    "<|im_end|>",
    "<|im_start|>assistant\n",
    "<|endoftext|>",
    "</s>",
    "<s>[INST]",
    "<|eot_id|>",
    "<｜end▁of▁sentence｜>",
    "<think>",
    "</think>",
    "<think>\n</think>",
    "<thinking>",
    "<|channel|>analysis<|message|>",
    # fences, separators, labels
    "```",
    "```json\n",
    "~~~",
    "###",
    "---",
    "***",
    "**",
    "__",
    "\n4. Instruction:",
    "\n5. Input:\n",
    "\n6. Output:",
    "\n99999999999999999999. Instruction: x",
    "\n-1. Instruction: x",
    "\n٤. Instruction: x",
    "\n④ Instruction: x",
    "\nInstruction:",
    "<noinput>",
    "<noinput" * 3,
    # JSON and its faults, numbers, other languages
    "\\",
    '"',
    "'",
    "{",
    "}",
    "[",
    "]",
    '{"tasks": [',
    '"}]}',
    "9" * 400,
    "1e999",
    "NaN",
    "-0",
    "0x1F",
    "%s%n{0}",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "'; DROP TABLE kept; --",
    " " * 500,
    "word " * 300,
    "",
)
"""Texts that have broken parsers."""

_ODD_COUNTS = (-5, 10**30, 3.5, None, [], {}, "many")  # invalid counts
_NEST = 100_000

Text = Callable[[bytes, random.Random], str]


class Hostile:
    """The plan. One answer in eight is an unmodified layout of `answer_forms`, all of whose tasks must be parsed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, body: bytes, before: int, api: Api) -> tuple[Form, Payload]:
        draw = random.Random(f"{self._seed}/{body!r}/{before}")
        payload = payload_for(body, draw)
        if draw.random() < 0.125:
            return draw.choice(_plain(api)), replace(payload, text=draw.choice(_dresses()))
        make = draw.choices((_dressed, _own, _structured, _rubble), (5, 3, 2, 2))[0]
        text = make(body, draw)
        for _ in range(draw.choice((0, 0, 1, 1, 2, 5))):
            text = _disturb(text, draw)
        payload = replace(
            payload, text=text or "\u200b", thought=draw.choice((payload.thought, *FRAGMENTS)) or payload.thought
        )
        return _on_a_bad_wire(draw.choice(_whole(api)), draw), payload


@cache
def _dresses() -> tuple[str, ...]:
    return tuple(form.text for form in dresses())


@cache
def _plain(api: Api) -> tuple[Form, ...]:
    kind = "plain" if api == "chat" else "completion"
    return tuple(form for form in FORMS.values() if form.kind == kind and form.api == api)


@cache
def _whole(api: Api) -> tuple[Form, ...]:
    """All forms that are sent at once. Answers are drawn ten times as often: only they have something to parse."""
    known = [form for form in (*FORMS.values(), *ANY_SERVER) if _comes_whole(form)]
    answers = [form for form in known if isinstance(form.want, Answered) and form.api == api]
    return (*answers * 10, *(form for form in known if not isinstance(form.want, Answered)))


def _comes_whole(form: Form) -> bool:
    return form.reply(Payload()).how in ("whole", "half", "nothing")


# -- texts ---------------------------------------------------------------------------------------------------------


def _dressed(_: bytes, draw: random.Random) -> str:
    return draw.choice(_dresses())


def _own(body: bytes, draw: random.Random) -> str:
    """Tasks with odd labels and fields."""
    label, none = draw.choice(list(LABELS.values())), draw.choice(NO_INPUTS)
    first = draw.choice((4, 4, 4, 1, 0, 17))
    parts = [
        f"{label(number, 'Instruction')} {_field(draw, _sentence(draw))}\n"
        f"{label(number, 'Input')}\n{_field(draw, none)}\n{label(number, 'Output')}\n{_field(draw, 'A story.')}\n"
        for number in range(first, first + draw.randrange(1, 8))
    ]
    return draw.choice(list(AROUND.values()))(draw.choice(("###\n", "\n", "", "\u2028")).join(parts))


def _structured(_: bytes, draw: random.Random) -> str:
    """JSON of tasks, with missing or duplicate fields, or fields of another type."""
    tasks: list[Any] = [
        {
            "instruction": _field(draw, _sentence(draw)),
            draw.choice(("input", "Input", "context", "\x00")): draw.choice(("", None, 7, _field(draw, "x"))),
            "output": draw.choice((_field(draw, "y"), [1, "two"], {"a": None}, True, 10**40, float("inf"))),
        }
        for _ in range(draw.randrange(1, 6))
    ]
    whole: Any = draw.choice(({"tasks": tasks}, tasks, tasks[0], {"tasks": {"1": tasks}}, {"tasks": [tasks, None]}))
    text = json.dumps(whole, ensure_ascii=draw.random() < 0.5)
    return draw.choice((text, f"```json\n{text}\n```", text.replace('",', '"', 1), f"{text},]", text.replace('"', "'")))


def _rubble(_: bytes, draw: random.Random) -> str:
    return "".join(draw.choice(FRAGMENTS) for _ in range(draw.randrange(1, 30)))


def _sentence(draw: random.Random) -> str:
    """An instruction of unique words, so that it is kept if it is parsed."""
    words = ["".join(draw.choices("aeioumnrst", k=draw.randrange(2, 9))) for _ in range(draw.randrange(4, 12))]
    return f"{' '.join(words).capitalize()}."


def _field(draw: random.Random, text: str) -> str:
    return (
        text
        if draw.random() < 0.6
        else draw.choice((f"{text}{{}}", "{}", f"{{}}{text}")).format(draw.choice(FRAGMENTS))
    )


def _disturb(text: str, draw: random.Random) -> str:
    """The text with an inserted fragment, a duplicated part, or truncated at any byte."""
    at = draw.randrange(len(text) + 1)
    match draw.randrange(6):
        case 0:
            raw = text.encode("utf-8", "surrogatepass")
            return raw[: draw.randrange(len(raw) + 1)].decode("utf-8", "replace")
        case 1:
            return draw.choice(list(AROUND.values()))(text)
        case 2:
            return text + text[at : at + 200]
        case _:
            return text[:at] + draw.choice(FRAGMENTS) + text[at:]


# -- the wire ------------------------------------------------------------------------------------------------------


def _on_a_bad_wire(form: Form, draw: random.Random) -> Form:
    """One in four forms gets a corrupted body; it then reports no tokens, unless it is still readable."""
    is_json = isinstance(form.reply(Payload()).body, dict)
    if not isinstance(form.want, Answered) or not is_json or draw.random() < 0.75:
        return form
    wire = draw.choice((_cut, _nested, _too_many_digits, _bad_bytes, _odd_count, _raw))
    seed = draw.random()

    def reply(payload: Payload) -> Reply:
        sent = form.reply(payload)
        return replace(sent, body=wire(sent.body, random.Random(seed)))

    if wire is _raw:
        return replace(form, reply=reply)
    if wire is _odd_count:
        return replace(form, reply=reply, tells=False)
    return replace(form, kind="garbled", reply=reply, want=Waits("no answer", FailureKind.GARBLED), tells=False)


def _dumped(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _cut(body: Any, draw: random.Random) -> bytes:
    """Truncated at any byte, and sent as if complete."""
    raw = _dumped(body)
    return raw[: draw.randrange(len(raw))]


def _nested(body: Any, _: random.Random) -> bytes:
    return _dumped(body)[:-1] + b', "x": ' + b"[" * _NEST + b"]" * _NEST + b"}"


def _too_many_digits(body: Any, _: random.Random) -> bytes:
    return _dumped(body)[:-1] + b', "created": ' + b"9" * 5_000 + b"}"


def _bad_bytes(body: Any, draw: random.Random) -> bytes:
    """Not UTF-8: with Latin-1, or half a character."""
    return _dumped(body)[:-1] + b', "x": "' + draw.choice((b"\xe9t\xe9", b"\xf0\x9f\x98")) + b'"}'


def _odd_count(body: Any, draw: random.Random) -> bytes:
    return json.dumps(
        {**body, "usage": {**(body.get("usage") or {}), "prompt_tokens": draw.choice(_ODD_COUNTS)}}
    ).encode()


def _raw(body: Any, _: random.Random) -> bytes:
    """Without escapes; a lone surrogate is three bytes then, which most JSON parsers accept."""
    return _dumped(body)
