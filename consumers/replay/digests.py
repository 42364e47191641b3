"""Digests of what a log says, repeats dropped: two runs that decided the same have the same digests.

What is measured (seconds, latency) and when things were written is not in them; so they can be compared between a run
that was disturbed and one that was not.
"""

import hashlib
from hashlib import blake2b

import msgspec

from schemas.events import InstructionsGenerated, TrainingLogged

TOPICS = ("run", "generated", "kept", "rejected", "training-log", "seed-commands")

_encode = msgspec.json.Encoder().encode


class Digests:
    """SHA-256 of each topic's events, in the order of the run; hexadecimal by `values`."""

    def __init__(self) -> None:
        self._hashes = {topic: hashlib.sha256() for topic in TOPICS}

    def add(self, topic: str, value: bytes | None) -> None:
        """Take in the value of an event."""
        found = self._hashes[topic]
        found.update(value or b"")
        found.update(b"\n")

    def values(self) -> dict[str, str]:
        return {topic: found.hexdigest() for topic, found in self._hashes.items()}


def generation_content(event: InstructionsGenerated) -> bytes:
    """What was asked and read, without how long it took and which pool it was asked from."""
    return _encode((event.lane, event.number, event.model, event.parser, event.instructions, event.unparsed))


def window_content(event: TrainingLogged) -> bytes:
    """The steps without the seconds they took."""
    steps = [
        (s.step, s.loss, s.loss_variance, s.grad_norm, s.learning_rate, s.tokens, [(r.id, r.slot) for r in s.rows])
        for s in event.steps
    ]
    return _encode((event.epoch, event.window, steps))


def digest(value: bytes | None) -> int:
    """64 bits of a value, never 0."""
    return int.from_bytes(blake2b(value or b"", digest_size=8).digest()) or 1
