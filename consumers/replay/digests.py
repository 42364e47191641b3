"""Digests of a log's deduplicated events: two runs that decided the same have the same digests.

They leave out measurements (seconds, latency) and times, so a disturbed run compares equal with an undisturbed one.
"""

import hashlib
from hashlib import blake2b
from typing import Any

import msgspec

from infra.log.source import TOPICS as log_topics
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from schemas.events import (
    ClassifierFitted,
    InstructionAnswered,
    InstructionJudged,
    InstructionsGenerated,
    ReplaceSeeds,
    TrainingLogged,
)
from schemas.policy import Policy
from schemas.topics import is_optional
from schemas.upcasting import policy_from_v1

TOPICS = tuple(topic for topic in log_topics if topic != "calls")

_FIRST_FIELDS = frozenset(
    """
    mode threshold compare_with_seeds tokenizer rules min_words max_words batch_size classifier vectorizer refit_from
    seeds_per_request feedback metric window_steps warm_up_steps candidate_threshold rng_seed
    """.split()
)
"""Fields of a policy in version 1 of RunConfigured: old logs keep their digests."""

_encode = msgspec.json.Encoder().encode


class Digests:
    """SHA-256 of each topic's events, in the order of the run; hexadecimal by `values`.

    An optional topic has none while it is empty.
    """

    def __init__(self) -> None:
        self._hashes = {topic: hashlib.sha256() for topic in TOPICS if not is_optional(topic)}

    def add(self, topic: str, value: bytes | None) -> None:
        """Add the value of an event."""
        found = self._hashes.setdefault(topic, hashlib.sha256())
        found.update(value or b"")
        found.update(b"\n")

    def values(self) -> dict[str, str]:
        return {topic: found.hexdigest() for topic, found in self._hashes.items()}


def generation_content(event: InstructionsGenerated) -> bytes:
    """The generation without latencies and the offset of its pool."""
    fields = (event.lane, event.number, event.model, event.parser, event.instructions, event.unparsed)
    if event.segment is not None:
        return _encode((*fields, event.reading, event.cut, event.segment, event.scores))
    return _encode(fields if event.reading == 1 else (*fields, event.reading, event.cut))


def policy_content(policy: Policy) -> dict[str, Any]:
    """The policy's fields; those of version 1 of RunConfigured where that could hold the policy."""
    fields: dict[str, Any] = msgspec.to_builtins(policy)
    first = {name: value for name, value in fields.items() if name in _FIRST_FIELDS}
    return first if msgspec.convert(policy_from_v1(first), Policy) == policy else fields


def classifier_content(event: ClassifierFitted) -> bytes:
    """The classifier; encoded as version 1 of ClassifierFitted where that could hold it."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    if event.classifier.vectorizer == "tfidf":
        del fields["classifier"]["vectorizer"], fields["classifier"]["model_sha256"]
    return _encode(fields)


def command_content(event: ReplaceSeeds) -> bytes:
    """The command; encoded as version 1 of ReplaceSeeds where it uses no judge's scores."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    if event.judged_offset < 0:
        del fields["judged_offset"]
    return _encode(fields)


def window_content(event: TrainingLogged) -> bytes:
    """The steps without their durations."""
    steps = [
        (s.step, s.loss, s.loss_variance, s.grad_norm, s.learning_rate, s.tokens, [(r.id, r.slot) for r in s.rows])
        for s in event.steps
    ]
    return _encode((event.epoch, event.window, steps))


def answered_content(event: InstructionAnswered) -> bytes:
    """The answered row without latency and cost."""
    raws = [answer.raw for answer in event.answers]
    return _encode((event.row, event.style, event.model, event.reading, event.reason, event.unparsed, raws))


def judged_content(event: InstructionJudged) -> bytes:
    """The judgement without latency and cost."""
    raws = [answer.raw for answer in event.answers]
    return _encode((event.kept_id, event.judge, event.scale, event.score, event.reason, raws))


def measured_content(event: QuestionMeasured) -> bytes:
    """The question's log-likelihoods and verdict; what computed them is not in it."""
    asked = event.model.key, event.benchmark.key, event.question_id, event.group, event.prompt_sha256
    return _encode((*asked, event.choices, event.loglikelihoods, event.gold, event.chosen, event.chosen_per_character))


def answer_content(event: AnswerGiven) -> bytes:
    """The answer without latency and cost."""
    raws = [answer.raw for answer in event.answers]
    asked = event.model.key, event.asked.key, event.prompt_id, event.group, event.instruction, event.input
    return _encode((*asked, event.references, event.outcome, event.text, event.reason, raws))


def answers_judged_content(event: AnswersJudged) -> bytes:
    """The judgement without latency and cost."""
    raws = [answer.raw for answer in event.answers]
    return _encode((event.judge, event.scale, event.answer_ids, event.models, event.scores, event.reason, raws))


def digest(value: bytes | None) -> int:
    """64 bits of a value, never 0."""
    return int.from_bytes(blake2b(value or b"", digest_size=8).digest()) or 1
