"""Old versions of events, lifted to the current one when they are read.

An upcaster takes the JSON object of version n and returns that of version n + 1. To make a new version of an event:
change its class, raise its version in `schemas.registry`, register an upcaster here, and add an example file. Old
example files stay for ever.
"""

from collections.abc import Callable
from typing import Any

from schemas.errors import UnknownEvent

Json = dict[str, Any]
Upcaster = Callable[[Json], Json]


def _without_kept_shown(data: Json) -> Json:
    """Version 2 tells which kept instructions were shown beside the seeds; before, none ever were."""
    return data | {"kept_shown": None}


def _without_reasoning(data: Json) -> Json:
    """Version 2 holds the reasoning that an endpoint gives apart from the answer; before, nobody kept it."""
    return data | {"reasoning": None}


def _read_as_at_first(data: Json) -> Json:
    """Version 2 of InstructionJudged, and 3 of InstructionsGenerated, name the version of the reading."""
    return data | {"reading": 1}


def _read_as_at_first_and_whole(data: Json) -> Json:
    return _read_as_at_first(data) | {"cut": []}


def _without_what_was_fed(data: Json) -> Json:
    """Version 2 tells of each step what the model was fed and how much memory that took; before, nobody counted."""
    unknown = {"all_tokens": None, "padding": None, "memory_bytes": None}
    return data | {"steps": [step | unknown for step in data["steps"]]}


def _without_judge(data: Json) -> Json:
    """Version 2 tells which judge's scores the candidates had to have; before, none was asked for."""
    return data | {"judged_offset": -1}


def policy_from_v1(policy: Json) -> Json:
    """Version 2 of RunConfigured names the policy's clusters apart from the batch size, and what version 1 did
    without a choice."""
    before = {
        "clusters": policy.get("batch_size", 16),
        "classifier": "nested",
        "refit_from": 256,
        "refit_growth": 2.0,
        "count_rule_rejections": True,
    }
    return before | policy


def _one_row_a_cluster(data: Json) -> Json:
    return data | {"policy": policy_from_v1(data["policy"])}


def _of_ngrams(data: Json) -> Json:
    """Version 2 names the vectorizer; before, there was one."""
    return data | {"classifier": data["classifier"] | {"vectorizer": "tfidf", "model_sha256": None}}


def _without_what_was_paid(data: Json) -> Json:
    """Version 2 tells what a failed attempt took; before, nobody asked, and it counts for nothing."""
    return data | {"usage": None, "cost_usd": None, "perhaps_paid": False}


UPCASTERS: dict[tuple[str, int], Upcaster] = {
    ("CallAnswered", 1): _without_reasoning,
    ("CallFailed", 1): _without_what_was_paid,
    ("CallStarted", 1): _without_kept_shown,
    ("ClassifierFitted", 1): _of_ngrams,
    ("InstructionJudged", 1): _read_as_at_first,
    ("InstructionsGenerated", 1): _without_kept_shown,
    ("InstructionsGenerated", 2): _read_as_at_first_and_whole,
    ("ReplaceSeeds", 1): _without_judge,
    ("RunConfigured", 1): _one_row_a_cluster,
    ("TrainingLogged", 1): _without_what_was_fed,
}


def upcast(name: str, version: int, current: int, data: Json) -> Json:
    """Lift `data` from `version` to `current`, one version at a time.

    Raises UnknownEvent when a step has no upcaster.
    """
    for step in range(version, current):
        upcaster = UPCASTERS.get((name, step))
        if upcaster is None:
            raise UnknownEvent(f"There is no upcaster for {name} from v{step} to v{step + 1}. Register one.")
        data = upcaster(data)
    return data
