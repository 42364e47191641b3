"""Checks that a decoded event is in its place: a valid record may still be on the wrong topic.

Checks what one record shows: an event's topic is that of its type; a kept row's partition is its cluster; the id of a
generation is derived from its lane and number, that of a judgement from its row and judge, so that ids are unique.
"""

from schemas import ids
from schemas.envelope import Decoded
from schemas.errors import MalformedEvent
from schemas.events import InstructionAnswered, InstructionJudged, InstructionKept, InstructionsGenerated
from schemas.registry import SPECS, spec_of

_TOPICS = frozenset(spec.topic for spec in SPECS.values())


def require_place(topic: str, partition: int, decoded: Decoded) -> None:
    """Raise MalformedEvent for an event that does not belong there; a topic that is not for events may hold any."""
    event = decoded.event
    spec = spec_of(type(event))
    if spec.topic != topic and topic in _TOPICS:
        raise MalformedEvent(f"A {spec.name} is on `{topic}`, but belongs on `{spec.topic}`. Find out who wrote it.")
    match event:
        case InstructionKept(cluster=cluster) | InstructionAnswered(row=InstructionKept(cluster=cluster)) if (
            cluster != partition and topic == spec.topic
        ):
            raise MalformedEvent(
                f"A row of cluster {cluster} is in partition {partition} of `{topic}`, but belongs in the partition "
                "of its cluster. Find out who wrote it."
            )
        case InstructionsGenerated(lane=lane, number=number) if decoded.meta.id != ids.generation_id(lane, number):
            raise MalformedEvent(
                f"Generation {number} of lane {lane[:80]!r} has the id {decoded.meta.id[:80]!r}, which is not its own. "
                "Was it written by another program?"
            )
        case InstructionJudged() if not _is_own(decoded.meta.id, event):
            raise MalformedEvent(
                f"The judgement of row {event.kept_id[:80]!r} by {event.judge.name[:80]!r} has the id "
                f"{decoded.meta.id[:80]!r}, which is not its own. Was it written by another program?"
            )
        case _:
            pass


def _is_own(id: str, event: InstructionJudged) -> bool:
    try:
        return id == ids.judgement_id(event.kept_id, event.judge.name)
    except ValueError:  # the row's id is invalid
        return False
