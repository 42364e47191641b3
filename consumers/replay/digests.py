"""Digests of what a log says, repeats dropped: two runs that decided the same have the same digests.

What is measured (seconds, latency) and when things were written is not in them; so they can be compared between a run
that was disturbed and one that was not.
"""

import hashlib
from hashlib import blake2b
from typing import Any

import msgspec

from schemas.events import ClassifierFitted, InstructionJudged, InstructionsGenerated, ReplaceSeeds, TrainingLogged
from schemas.policy import Policy
from schemas.topics import is_optional
from schemas.upcasting import policy_from_v1

TOPICS = ("run", "generated", "kept", "rejected", "judged", "training-log", "seed-commands")

_FIRST_FIELDS = {
    "mode",
    "threshold",
    "compare_with_seeds",
    "tokenizer",
    "rules",
    "min_words",
    "max_words",
    "batch_size",
    "classifier",
    "vectorizer",
    "refit_from",
    "seeds_per_request",
    "feedback",
    "metric",
    "window_steps",
    "warm_up_steps",
    "candidate_threshold",
    "rng_seed",
}
"""Fields of a policy in the first version of RunConfigured: old logs keep their digests."""

_encode = msgspec.json.Encoder().encode


class Digests:
    """SHA-256 of each topic's events, in the order of the run; hexadecimal by `values`.

    A topic that a run may lack has none before there is something on it.
    """

    def __init__(self) -> None:
        self._hashes = {topic: hashlib.sha256() for topic in TOPICS if not is_optional(topic)}

    def add(self, topic: str, value: bytes | None) -> None:
        """Take in the value of an event."""
        found = self._hashes.setdefault(topic, hashlib.sha256())
        found.update(value or b"")
        found.update(b"\n")

    def values(self) -> dict[str, str]:
        return {topic: found.hexdigest() for topic, found in self._hashes.items()}


def generation_content(event: InstructionsGenerated) -> bytes:
    """What was asked and read, without how long it took and which pool it was asked from."""
    said = (event.lane, event.number, event.model, event.parser, event.instructions, event.unparsed)
    return _encode(said if event.reading == 1 else (*said, event.reading, event.cut))


def policy_content(policy: Policy) -> dict[str, Any]:
    """The policy's fields; of one that RunConfigured could hold in its first version, as that was written."""
    fields: dict[str, Any] = msgspec.to_builtins(policy)
    first = {name: value for name, value in fields.items() if name in _FIRST_FIELDS}
    return first if msgspec.convert(policy_from_v1(first), Policy) == policy else fields


def classifier_content(event: ClassifierFitted) -> bytes:
    """The classifier; one that ClassifierFitted could hold in its first version, as that was written."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    if event.classifier.vectorizer == "tfidf":
        del fields["classifier"]["vectorizer"], fields["classifier"]["model_sha256"]
    return _encode(fields)


def command_content(event: ReplaceSeeds) -> bytes:
    """A command; one that goes by no judge's scores as the first version of ReplaceSeeds was written."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    if event.judged_offset < 0:
        del fields["judged_offset"]
    return _encode(fields)


def window_content(event: TrainingLogged) -> bytes:
    """The steps without the seconds they took."""
    steps = [
        (s.step, s.loss, s.loss_variance, s.grad_norm, s.learning_rate, s.tokens, [(r.id, r.slot) for r in s.rows])
        for s in event.steps
    ]
    return _encode((event.epoch, event.window, steps))


def judged_content(event: InstructionJudged) -> bytes:
    """What the judge said, without how long it took and what it cost."""
    raws = [answer.raw for answer in event.answers]
    return _encode((event.kept_id, event.judge, event.scale, event.score, event.reason, raws))


def digest(value: bytes | None) -> int:
    """64 bits of a value, never 0."""
    return int.from_bytes(blake2b(value or b"", digest_size=8).digest()) or 1
