"""A run's policy: every setting that affects a decision.

The policy is written once, in the run's first event, and never changes, so every decision can be repeated from the log.
Settings that only affect how fast or on which machine something is done are not part of it (`infra.settings`).
"""

from collections.abc import Mapping
from math import gcd, isfinite
from typing import Annotated, Literal, get_args

import msgspec

from schemas.errors import ConfigurationError
from schemas.segments import ALL_STRATEGIES, Strategy

Mode = Literal["sedi", "self-instruct"]
Metric = Literal["grad_norm", "loss_variance", "sum", "random"]
Answered = Literal["all", "kept"]
FailedAnswer = Literal["blocks", "releases"]
SeedChoice = Literal["uniform", "thompson", "ucb"]
Adapted = Literal["temperature", "list_length"]
RuleName = Literal[
    "too_short",
    "too_long",
    "unsuitable_word",
    "write_program",
    "starts_with_punctuation",
    "starts_non_ascii",
    "empty_output",
]

ALL_RULES: tuple[RuleName, ...] = get_args(RuleName)

Threshold = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Growth = Annotated[float, msgspec.Meta(gt=1.0)]


REFIT_ROWS = 200
"""Kept instructions for each record that a refit leads by (`Policy.refit_lead`)."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a run's decisions; docs/papers.md has the origin of each.

    mode                      `sedi`, or the baseline `self-instruct`, which has other defaults for four fields
    answer                    which instructions are answered, in styles that ask for instructions and answers apart:
                              `all` of a list, before the filter decides; or those `kept`, afterwards, on `answered`
    failed_answer             whether a kept instruction whose answer is not used still `blocks` similar ones, or
                              `releases` them: later candidates are not compared with it
    threshold                 keep if ROUGE-L F to all kept rows is <= this (paper: 0.85; Self-Instruct: 0.7)
    compare_with_seeds        compare candidates with the run's initial seeds too, as Alpaca does
    tokenizer                 `rouge` uses only ASCII letters and digits; `unicode` all scripts
    rules                     the active heuristic rules, by rejection reason
    rule_scripts              `ascii`: as in Alpaca's rules, words are separated by white space, and a text must start
                              with an ASCII character; `all`: words and first characters of every script. The default
                              with the `unicode` tokenizer is `all`
    reject_cut                reject an instruction whose output was cut off, as `cut_output`
    min_words, max_words      fewest and most words of an instruction that the length rules accept
    clusters                  of the classifier, and partitions of `kept`; a power of two
    batch_size                rows of a training step, as many from each cluster: a multiple of `clusters`
    classifier                `balanced` cuts so that cluster sizes even out, `nested` at medians; both are refitted.
                              `literal` cuts at zero, fitted once on the seeds
    vectorizer                `tfidf` of character n-grams, or sentence `embeddings`
    refit_from                kept instructions at the first refit; then whenever their number has grown
    refit_growth              by this factor; in longer steps, up to doublings, once there are many
    refit_lead                records of `generated` that are decided while a classifier is fitted, before it is used:
                              one for every REFIT_ROWS kept instructions, and at most so many.
                              0: the filter waits for each fit
    seeds_per_request         seeds that a prompt shows, sampled without replacement
    seed_choice               how they are sampled: `uniform`, as in the paper; or those that brought the most kept rows
                              are preferred, by `thompson` sampling or `ucb` (upper confidence bound)
    adapt                     what of a request follows the yield of the last generations: the `temperature`, the
                              `list_length`, both or neither
    hints                     instructions of the fullest cluster that a prompt asks the LLM not to repeat
    feedback                  whether training windows replace seeds
    metric                    that a window's batch is chosen by
    window_steps              steps of a window
    warm_up_steps             steps whose windows never choose a batch
    candidate_threshold       a candidate seed must be at most this similar to every seed and accepted candidate
    candidate_min_score       a candidate seed must have at least this score from the run's first judge; None: no judge
    max_replacements          seeds that a window may replace; None: as many as there are candidates
    min_showings              decided generations that must have shown a seed before it can be a victim
    victim_max_score          a seed with a higher score cannot be a victim
    count_rule_rejections     whether instructions that the rules reject count against the seeds they came from
    feedback_borrowed         whether a batch with borrowed rows may be chosen
    rng_seed                  of the seed sampling, and of the cutting of documents
    strategies                of the segments whose candidates may be kept
    candidates                of a segment that are considered, the first of them; None: all
    max_copied_run            a candidate with more words in a row from its segment is a copy
    max_copied                so is one with a sentence or quotation that begins as in the segment, and has a larger
                              share of its words from it, in their order; 1: none
    gain_at_least             a candidate must make its segment likelier by so much, in nats a token; None: any
    """

    mode: Mode = "sedi"
    answer: Answered = "all"
    failed_answer: FailedAnswer = "blocks"
    threshold: Threshold = 0.85
    compare_with_seeds: bool = False
    tokenizer: Literal["rouge", "unicode"] = "rouge"
    rules: tuple[RuleName, ...] = ALL_RULES
    rule_scripts: Literal["ascii", "all"] = "ascii"
    reject_cut: bool = True
    min_words: Positive = 4
    max_words: Positive = 150
    clusters: Positive = 16
    batch_size: Positive = 16
    classifier: Literal["balanced", "nested", "literal"] = "balanced"
    vectorizer: Literal["tfidf", "embeddings"] = "tfidf"
    refit_from: Positive = 16
    refit_growth: Growth = 1.1
    refit_lead: Annotated[int, msgspec.Meta(ge=0)] = 0
    seeds_per_request: Positive = 3
    seed_choice: SeedChoice = "uniform"
    adapt: tuple[Adapted, ...] = ()
    hints: Annotated[int, msgspec.Meta(ge=0)] = 0
    feedback: bool = True
    metric: Metric = "grad_norm"
    window_steps: Positive = 10
    warm_up_steps: Annotated[int, msgspec.Meta(ge=0)] = 10
    candidate_threshold: Threshold = 0.7
    candidate_min_score: float | None = None
    max_replacements: Positive | None = None
    min_showings: Positive = 1
    victim_max_score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    count_rule_rejections: bool = False
    feedback_borrowed: bool = True
    rng_seed: int = 42
    strategies: tuple[Strategy, ...] = ALL_STRATEGIES
    candidates: Positive | None = None
    max_copied_run: Positive = 12
    max_copied: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.75
    gain_at_least: float | None = 0.0

    def __post_init__(self) -> None:
        for name in ("threshold", "candidate_threshold"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:  # refuses NaN too
                raise ConfigurationError(f"{name} is {value}; similarity thresholds are at least 0 and below 1.")
        if self.clusters < 1 or self.clusters & (self.clusters - 1):
            raise ConfigurationError(
                f"clusters is {self.clusters}; it must be a power of two (1, 2, 4, 8, 16, ...), because clusters are "
                "the quadrants of log2(clusters) axes."
            )
        if self.batch_size < 1 or self.batch_size % self.clusters:
            raise ConfigurationError(
                f"batch_size is {self.batch_size} and clusters {self.clusters}; a batch takes as many rows from each "
                f"cluster, so it must be a multiple of it. Set batch_size={self.clusters}, or other clusters."
            )
        if not self.refit_growth > 1.0:
            raise ConfigurationError(f"refit_growth is {self.refit_growth}; it must be greater than 1.")
        if self.gain_at_least is not None and not isfinite(self.gain_at_least):
            raise ConfigurationError(
                f"gain_at_least is {self.gain_at_least}; it must be a number of nats, such as 0.1, or null for any."
            )
        if not self.strategies:
            raise ConfigurationError(f"strategies is empty; name one or more of {', '.join(ALL_STRATEGIES)}.")
        if self.candidate_min_score is not None and not isfinite(self.candidate_min_score):
            raise ConfigurationError(
                f"candidate_min_score is {self.candidate_min_score}; it must be a number of the judge's scale, such as "
                "3.5, or null for no judge."
            )
        if self.min_words > self.max_words:
            raise ConfigurationError(
                f"min_words is {self.min_words} and max_words {self.max_words}: no text can pass. Swap or widen them."
            )

    @property
    def axes(self) -> int:
        """Axes of the classifier: log2 of the number of clusters."""
        return self.clusters.bit_length() - 1


_MODE_DEFAULTS: dict[str, dict[str, object]] = {
    "sedi": {},
    "self-instruct": {"threshold": 0.7, "compare_with_seeds": True, "feedback": False, "clusters": 1},
}


def policy_with(policy: Policy, **changes: object) -> Policy:
    """A policy with some fields changed. A changed mode brings its defaults for the fields in which modes differ.

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

    `self-instruct` is the baseline: threshold 0.7 against seeds and kept, one cluster, no feedback. If only one of
    `clusters` and `batch_size` is given, the other is the mode's, or the nearest value that fits.
    Raises ConfigurationError for an unknown mode, field or a value out of range.
    """
    if mode not in _MODE_DEFAULTS:
        raise ConfigurationError(f"mode is {mode!r}; choose one of {', '.join(_MODE_DEFAULTS)}.")
    fields = {"mode": mode, **_MODE_DEFAULTS[mode]}
    if changes.get("tokenizer") == "unicode":
        fields["rule_scripts"] = "all"
    try:
        return msgspec.convert(fields | _fitting(fields, changes) | changes, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The policy is wrong: {error}. `sedi init -` prints them.") from error


def _fitting(fields: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """The one of `clusters` and `batch_size` that was not given, if the other was."""
    given = changes.keys() & {"clusters", "batch_size"}
    if len(given) != 1:
        return {}
    (name,) = given
    try:
        value = msgspec.convert(changes[name], int, strict=False)
    except msgspec.ValidationError:
        return {}  # refused later, with the name of the field
    if name == "batch_size":
        return {"clusters": gcd(value, int(str(fields.get("clusters", Policy().clusters)))) or 1}
    return {"batch_size": max(value, Policy().batch_size)}
