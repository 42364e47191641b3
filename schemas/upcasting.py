"""Upcasts old versions of events to the current one when they are read.

An upcaster takes the JSON object of version n and returns that of version n + 1. To make a new version of an event:
change its class, raise its version in `schemas.registry`, register an upcaster here, and add an example file. Old
example files are never removed.

A field that is left out where it has its default, such as `cached_tokens`, needs no new version.
"""

from collections.abc import Callable
from typing import Any

from schemas.errors import UnknownEvent

Json = dict[str, Any]
Upcaster = Callable[[Json], Json]


def _adding(**fields: Any) -> Upcaster:
    """The next version has these fields; before, they would have had these values."""
    return lambda data: data | fields


def _without_tokens_and_memory(data: Json) -> Json:
    """Version 2 has the tokens, padding and memory of each step; before, they were not measured."""
    unknown = {"all_tokens": None, "padding": None, "memory_bytes": None}
    return data | {"steps": [step | unknown for step in data["steps"]]}


def policy_from_v1(policy: Json) -> Json:
    """Version 2 of RunConfigured has the policy's clusters apart from the batch size, and fields for what version 1
    fixed."""
    before = {
        "clusters": policy.get("batch_size", 16),
        "classifier": "nested",
        "refit_from": 256,
        "refit_growth": 2.0,
        "count_rule_rejections": True,
    }
    return before | policy


def _with_policy_from_v1(data: Json) -> Json:
    return data | {"policy": policy_from_v1(data["policy"])}


def _without_segments(data: Json) -> Json:
    """Version 3 has the choice among candidates for a segment, which instructions are answered, and what a request
    follows; before, no instruction came from a document, all were answered, and seeds were drawn uniformly."""
    fields = {
        "answer": "all",
        "failed_answer": "blocks",
        "seed_choice": "uniform",
        "adapt": [],
        "hints": 0,
        "strategies": ["random", "salient", "structural", "whole"],
        "candidates": None,
        "max_copied_run": 12,
        "max_copied": 0.75,
        "gain_at_least": 0.0,
    }
    return data | {"policy": fields | data["policy"]}


def _without_refit_lead(data: Json) -> Json:
    """Version 4 has the lead of refits; before, each was used at once."""
    return data | {"policy": {"refit_lead": 0} | data["policy"]}


def _tfidf_vectorizer(data: Json) -> Json:
    """Version 2 has the vectorizer; before, there was only one."""
    return data | {"classifier": data["classifier"] | {"vectorizer": "tfidf", "model_sha256": None}}


UPCASTERS: dict[tuple[str, int], Upcaster] = {
    ("CallAnswered", 1): _adding(reasoning=None),  # that an endpoint gives apart from the answer; it was not stored
    ("CallFailed", 1): _adding(usage=None, cost_usd=None, perhaps_paid=False),  # not recorded; they count as nothing
    ("CallStarted", 1): _adding(kept_shown=None),  # no kept instructions were shown beside the seeds
    ("CallStarted", 2): _adding(steering=None),  # nothing of a request followed what was kept
    ("ClassifierFitted", 1): _tfidf_vectorizer,
    ("InstructionJudged", 1): _adding(reading=1),  # the version of the parser
    ("InstructionsGenerated", 1): _adding(kept_shown=None),
    ("InstructionsGenerated", 2): _adding(reading=1, cut=[]),
    ("InstructionsGenerated", 3): _adding(segment=None, scores=None, steering=None),  # all from seeds, unsteered
    ("ReplaceSeeds", 1): _adding(judged_offset=-1),  # no judge's scores were used
    ("RunConfigured", 1): _with_policy_from_v1,
    ("RunConfigured", 2): _without_segments,
    ("RunConfigured", 3): _without_refit_lead,
    ("TrainingLogged", 1): _without_tokens_and_memory,
    ("TrainingLogged", 2): _adding(documents_offset=-1),  # no document could be withdrawn
}


def upcast(name: str, version: int, current: int, data: Json) -> Json:
    """Upcast `data` from `version` to `current`, one version at a time.

    Raises UnknownEvent if a step has no upcaster.
    """
    for step in range(version, current):
        upcaster = UPCASTERS.get((name, step))
        if upcaster is None:
            raise UnknownEvent(f"There is no upcaster for {name} from v{step} to v{step + 1}. Register one.")
        data = upcaster(data)
    return data
