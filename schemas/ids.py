"""Deterministic identities: the same cause at the same place always gets the same id.

Every id is a UUIDv5 of its cause's id and its place under it, so an event that is made twice has the same id. Ids are
unique within a run; across runs, the pair of CloudEvents source (which names the run) and id is unique. The same
decisions in two runs have the same ids, so runs can be compared record by record.
"""

import hashlib
from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from schemas import native

_ROOT = str(uuid5(NAMESPACE_URL, "urn:sedi"))


def child(cause: str, place: str | int) -> str:
    """The id of what `cause` produces at `place`; `cause` is an id from this module."""
    if native.CORE is not None:
        made: str | None = native.CORE.child_id(cause, str(place))
        if made is not None:
            return made
    digits = cause.replace("-", "")
    namespace = bytes.fromhex(digits) if len(digits) == 32 and digits.isalnum() else b""
    if not namespace:
        raise ValueError(f"badly formed id: {cause!r}")
    return _uuid5(namespace, str(place))


def run_id(run: str) -> str:
    """The id that all events of a run share as correlation id."""
    return child(_ROOT, f"run/{run}")


def generation_id(lane: str, number: int) -> str:
    """Of the number-th generation (from 0) of a generator lane."""
    return child(_ROOT, f"generation/{lane}/{number}")


def request_id(generation: str, step: int) -> str:
    """Of the step-th LLM call (from 0) for a generation."""
    return child(generation, f"request/{step}")


def call_answered_id(request: str, attempt: int) -> str:
    """Of the answer to an attempt at a request."""
    return child(request, f"answered/{attempt}")


def instruction_id(generation: str, place: int) -> str:
    """Of the place-th instruction (from 0) parsed from a generation."""
    return child(generation, place)


def answered_id(kept: str) -> str:
    """Of the answer to a kept instruction."""
    return child(kept, "answered")


def judgement_id(kept: str, judge: str) -> str:
    """Of the judgement of a kept row by the judge of that name."""
    return child(kept, f"judged/{judge}")


def measured_id(model: str, benchmark: str, question: str) -> str:
    """Of a benchmark's question, measured with a model; `model` and `benchmark` are their keys."""
    return child(_ROOT, f"measured/{model}/{benchmark}/{question}")


def answer_id(model: str, asked: str, prompt: str) -> str:
    """Of a model's answer to a prompt; `model` is its key, `asked` the key of the conditions."""
    return child(_ROOT, f"answer/{model}/{asked}/{prompt}")


def answers_judged_id(judge: str, answers: Sequence[str]) -> str:
    """Of a judge's reading of answers, shown in this order."""
    return child(_ROOT, f"answers-judged/{judge}/{'/'.join(answers)}")


def document_id(source: str, place: int, start: int, sha256: str) -> str:
    """Of a document that was read; the arguments are fields of its event."""
    return child(_ROOT, f"document/{sha256}/{place}/{start}/{source}")


def segment_id(document: str, strategy: str, spans: Sequence[tuple[int, int]]) -> str:
    """Of a segment of a document."""
    return child(document, f"segment/{strategy}/{','.join(f'{start}-{end}' for start, end in spans)}")


def withdrawn_id(document: str) -> str:
    """Of a document's withdrawal."""
    return child(document, "withdrawn")


def classifier_id(from_offset: int) -> str:
    """Of the classifier in force from an offset of `generated` on."""
    return child(_ROOT, f"classifier/{from_offset}")


def released_id(from_offset: int) -> str:
    """Of the release of kept instructions from an offset of `generated` on."""
    return child(_ROOT, f"released/{from_offset}")


def window_id(epoch: int, window: int) -> str:
    """Of the window-th training window (from 0) of an epoch (from 1)."""
    return child(_ROOT, f"window/{epoch}/{window}")


def verdict_id(generated_offset: int) -> str:
    """Of the filter's verdict on the record at an offset of `generated`."""
    return child(_ROOT, f"verdict/{generated_offset}")


def command_id(training_offset: int) -> str:
    """Of the command that answers the window at an offset of `training-log`."""
    return child(_ROOT, f"command/{training_offset}")


def _uuid5(namespace: bytes, name: str) -> str:
    """`str(uuid.uuid5(...))` by RFC 9562, without the object for speed: a replay computes one for every instruction."""
    raw = bytearray(hashlib.sha1(namespace + name.encode(), usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
