"""Which questions of a benchmark are asked, and how the sample is named.

The sample is that of the smallest hashes of seed and question id: it does not depend on the order or the number of the
questions, and a smaller sample is a part of a larger one with the same seed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar


class _Question(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def group(self) -> str: ...


Question = TypeVar("Question", bound=_Question)


def sampled(questions: Sequence[Question], limit: int | None, seed: int) -> tuple[tuple[Question, ...], str]:
    """At most `limit` questions of each group, in the order given, and the sample's name; empty: all are asked."""
    groups: defaultdict[str, list[Question]] = defaultdict(list)
    for question in questions:
        groups[question.group].append(question)
    if limit is None or all(len(group) <= limit for group in groups.values()):
        return tuple(questions), ""
    chosen = {
        question.id
        for group in groups.values()
        for question in sorted(group, key=lambda each: hashlib.sha256(f"{seed}/{each.id}".encode()).digest())[:limit]
    }
    name = f"{limit} a subject, seed {seed}" if any(groups) else f"{limit} questions, seed {seed}"
    return tuple(question for question in questions if question.id in chosen), name
