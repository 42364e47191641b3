"""A run's policy: every setting that takes part in a decision.

The policy is written once, in the run's first event, and never changes: whoever reads the log can decide
everything again with it. What only affects how fast or by which machine things are done is a setting, not policy.
"""

from typing import Annotated, Literal

import msgspec

from schemas.errors import ConfigurationError

Mode = Literal["sedi", "self-instruct"]
Metric = Literal["grad_norm", "loss_variance", "sum", "random"]
RuleName = Literal[
    "too_short",
    "too_long",
    "unsuitable_word",
    "write_program",
    "starts_with_punctuation",
    "starts_non_ascii",
    "empty_output",
]

ALL_RULES: tuple[RuleName, ...] = (
    "too_short",
    "too_long",
    "unsuitable_word",
    "write_program",
    "starts_with_punctuation",
    "starts_non_ascii",
    "empty_output",
)

Threshold = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a run's decisions; see `papers` in the README for where each comes from.

    threshold                 keep when ROUGE-L F to all kept is <= this (paper: 0.85; Self-Instruct: 0.7)
    compare_with_seeds        compare candidates with the run's initial seeds too, as Alpaca does
    tokenizer                 `rouge` sees ASCII letters and digits only; `unicode` all scripts
    rules                     the heuristic rules that are on, by rejection reason
    min_words, max_words      fewest and most words of an instruction that the length rules let pass
    batch_size                rows a training batch, clusters, and partitions of `kept`; a power of two
    classifier                `nested` cuts at medians and is refitted; `literal` cuts at zero, fitted once on the seeds
    vectorizer                `tfidf` of character n-grams
    refit_from                kept instructions at the first refit; then at each doubling
    seeds_per_request         seeds shown to the LLM, sampled without replacement
    feedback                  whether training windows replace seeds
    metric                    what a window's batch is chosen by
    window_steps              steps a window
    warm_up_steps             steps whose windows never choose a batch
    candidate_threshold       a candidate seed must be at most this similar to every seed and taken candidate
    rng_seed                  of the seed sampling
    """

    mode: Mode = "sedi"
    threshold: Threshold = 0.85
    compare_with_seeds: bool = False
    tokenizer: Literal["rouge", "unicode"] = "rouge"
    rules: tuple[RuleName, ...] = ALL_RULES
    min_words: Positive = 4
    max_words: Positive = 150
    batch_size: Positive = 16
    classifier: Literal["nested", "literal"] = "nested"
    vectorizer: Literal["tfidf"] = "tfidf"
    refit_from: Positive = 256
    seeds_per_request: Positive = 3
    feedback: bool = True
    metric: Metric = "grad_norm"
    window_steps: Positive = 10
    warm_up_steps: Annotated[int, msgspec.Meta(ge=0)] = 10
    candidate_threshold: Threshold = 0.7
    rng_seed: int = 42

    def __post_init__(self) -> None:
        for name in ("threshold", "candidate_threshold"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:  # refuses NaN too
                raise ConfigurationError(f"{name} is {value}; similarity thresholds are at least 0 and below 1.")
        if self.batch_size < 1 or self.batch_size & (self.batch_size - 1):
            raise ConfigurationError(
                f"batch_size is {self.batch_size}; it must be a power of two (1, 2, 4, 8, 16, ...), because "
                "clusters are the quadrants of log2(batch_size) axes."
            )
        if self.min_words > self.max_words:
            raise ConfigurationError(
                f"min_words is {self.min_words} and max_words {self.max_words}: no text can pass. Swap or widen them."
            )

    @property
    def axes(self) -> int:
        """Axes of the classifier: log2 of the batch size."""
        return self.batch_size.bit_length() - 1


_MODE_DEFAULTS: dict[str, dict[str, object]] = {
    "sedi": {},
    "self-instruct": {"threshold": 0.7, "compare_with_seeds": True, "feedback": False, "batch_size": 1},
}


def policy_with(policy: Policy, **changes: object) -> Policy:
    """A policy with some fields changed; changing its mode takes that mode's defaults for what modes differ in.

    Raises ConfigurationError for an unknown mode, field or a value out of range.
    """
    mode = str(changes.get("mode", policy.mode))
    fields = {name: getattr(policy, name) for name in Policy.__struct_fields__}
    if mode != policy.mode:
        target = policy_for(mode)
        fields |= {name: getattr(target, name) for defaults in _MODE_DEFAULTS.values() for name in defaults}
    return policy_for(**(fields | changes))


def policy_for(mode: str = "sedi", **changes: object) -> Policy:
    """The policy of a mode with some fields changed.

    `self-instruct` is the baseline: threshold 0.7 against seeds and kept, one cluster, no feedback.
    Raises ConfigurationError for an unknown mode, field or a value out of range.
    """
    if mode not in _MODE_DEFAULTS:
        raise ConfigurationError(f"mode is {mode!r}; choose one of {', '.join(_MODE_DEFAULTS)}.")
    try:
        return msgspec.convert({"mode": mode, **_MODE_DEFAULTS[mode], **changes}, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The policy is wrong: {error}. `sedi run --help` lists the fields.") from error
