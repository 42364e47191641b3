"""Deterministic identities: the same cause at the same place always gets the same id.

Every id is a UUIDv5 of its cause's id and its place under it, so that making an event twice makes the same event.
Ids are unique within a run; across runs, the pair of CloudEvents source (which names the run) and id is unique.
The same decisions in two runs therefore carry the same ids, which lets runs be compared record by record.
"""

from uuid import NAMESPACE_URL, UUID, uuid5

_ROOT = uuid5(NAMESPACE_URL, "urn:sedi")


def child(cause: str, place: str | int) -> str:
    """The id of what `cause` makes at `place`; `cause` is an id that this module made."""
    return str(uuid5(UUID(cause), str(place)))


def run_id(run: str) -> str:
    """The id that correlates all events of a run."""
    return str(uuid5(_ROOT, f"run/{run}"))


def generation_id(lane: str, number: int) -> str:
    """The number-th generation (from 0) of a generator lane."""
    return str(uuid5(_ROOT, f"generation/{lane}/{number}"))


def request_id(generation: str, step: int) -> str:
    """The step-th LLM call (from 0) made for a generation."""
    return child(generation, f"request/{step}")


def instruction_id(generation: str, place: int) -> str:
    """The place-th instruction (from 0) that was parsed from a generation."""
    return child(generation, place)


def classifier_id(from_offset: int) -> str:
    """The classifier in force from an offset of `generated` on."""
    return str(uuid5(_ROOT, f"classifier/{from_offset}"))


def window_id(epoch: int, window: int) -> str:
    """The window-th training window (from 0) of an epoch (from 1)."""
    return str(uuid5(_ROOT, f"window/{epoch}/{window}"))


def verdict_id(generated_offset: int) -> str:
    """The filter's word on the record at an offset of `generated`."""
    return str(uuid5(_ROOT, f"verdict/{generated_offset}"))


def command_id(training_offset: int) -> str:
    """The answer to the window at an offset of `training-log`."""
    return str(uuid5(_ROOT, f"command/{training_offset}"))
