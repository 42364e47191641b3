"""The heuristic rules of Self-Instruct and Alpaca for dropping instructions, each with its own rejection reason.

A rule looks at one instruction; similarity is not a rule. The reason is the first rule that applies, in the order of
`RULES`. The paper names no rules; these are Alpaca's.

Rules about words and first characters are for English, as in Alpaca, or for every script if the policy's `rule_scripts`
is `all` (`streams.core.scripts`); on ASCII text both agree.
"""

import re
import string
from collections.abc import Callable, Sequence
from functools import lru_cache

from schemas.events import Instruction
from schemas.policy import Policy, RuleName
from streams.core.scripts import begins_with, count_words

_UNSUITABLE = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to|video|audio|music|flowchart|diagram)\b", re.IGNORECASE
)

_ASCII_PUNCTUATION = frozenset(string.punctuation)

Rule = Callable[[Instruction, Policy], bool]
"""Whether an instruction breaks it."""

RULES: dict[RuleName, Rule] = {
    "too_short": lambda task, policy: _words(task, policy) < policy.min_words,
    "too_long": lambda task, policy: _words(task, policy) > policy.max_words,
    "unsuitable_word": lambda task, policy: _UNSUITABLE.search(task.instruction) is not None,
    "write_program": lambda task, policy: task.instruction.startswith("Write a program"),
    "starts_with_punctuation": lambda task, policy: (
        task.instruction[:1] in _ASCII_PUNCTUATION
        or (policy.rule_scripts == "all" and begins_with(task.instruction) == "punctuation")
    ),
    "starts_non_ascii": lambda task, policy: (
        not task.instruction[:1].isascii()
        and not (policy.rule_scripts == "all" and begins_with(task.instruction) == "text")
    ),
    "empty_output": lambda task, policy: not task.output.strip(),
}


def _words(task: Instruction, policy: Policy) -> float:
    return count_words(task.instruction) if policy.rule_scripts == "all" else len(task.instruction.split())


def broken_rule(task: Instruction, policy: Policy) -> RuleName | None:
    """The first of the policy's rules that the instruction breaks, or None."""
    for name, breaks in _in_force(policy.rules):
        if breaks(task, policy):
            return name
    return None


@lru_cache(maxsize=64)
def _in_force(rules: tuple[RuleName, ...]) -> tuple[tuple[RuleName, Rule], ...]:
    """The rules that a policy names, in their order."""
    return tuple((name, breaks) for name, breaks in RULES.items() if name in rules)


def unfit(
    task: Instruction, tokens: Sequence[str], policy: Policy, *, cut: bool, unanswered: bool = False
) -> str | None:
    """Why an instruction is rejected whatever else is kept, or None.

    tokens       those that similarity compares
    cut          its output was cut off
    unanswered   its output has not been asked for yet, so no rule about it applies
    """
    if cut and policy.reject_cut:
        return "cut_output"
    broken = broken_rule(task, policy)
    if broken == "empty_output" and unanswered:  # the last of the rules
        broken = None
    return broken or (None if tokens else "no_tokens")


def unfit_answer(output: str, policy: Policy, *, cut: bool) -> str | None:
    """Why the answer to a kept instruction cannot be used, or None."""
    if cut and policy.reject_cut:
        return "cut_output"
    return "empty_output" if "empty_output" in policy.rules and not output.strip() else None
