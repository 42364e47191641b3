"""Whether an event stands where it belongs: a record that reads well may still be in the wrong place.

What can be told of one record alone: the topic that its type is written to; of a kept row, that its partition is its
cluster; of a generation, that its id is the one of its lane and number, and of a judgement, that it is the one of its
row and judge, which makes ids unique.
"""

from schemas import ids
from schemas.envelope import Decoded
from schemas.errors import MalformedEvent
from schemas.events import InstructionJudged, InstructionKept, InstructionsGenerated
from schemas.registry import SPECS, spec_of

_TOPICS = frozenset(spec.topic for spec in SPECS.values())


def require_place(topic: str, partition: int, decoded: Decoded) -> None:
    """Raise MalformedEvent for an event that does not belong there; on a topic that holds no events any may stand."""
    event = decoded.event
    spec = spec_of(type(event))
    if spec.topic != topic and topic in _TOPICS:
        raise MalformedEvent(f"A {spec.name} stands on `{topic}`, but belongs on `{spec.topic}`. Look who wrote it.")
    match event:
        case InstructionKept(cluster=cluster) if cluster != partition and topic == spec.topic:
            raise MalformedEvent(
                f"A row of cluster {cluster} stands in partition {partition} of `{topic}`, but its cluster is the "
                "partition that it belongs in. Look who wrote it."
            )
        case InstructionsGenerated(lane=lane, number=number) if decoded.meta.id != ids.generation_id(lane, number):
            raise MalformedEvent(
                f"Generation {number} of lane {lane[:80]!r} has the id {decoded.meta.id[:80]!r}, which is not its own. "
                "Was it written by another program?"
            )
        case InstructionJudged() if not _is_own(decoded.meta.id, event):
            raise MalformedEvent(
                f"What {event.judge.name[:80]!r} made of row {event.kept_id[:80]!r} has the id "
                f"{decoded.meta.id[:80]!r}, which is not its own. Was it written by another program?"
            )
        case _:
            pass


def _is_own(id: str, event: InstructionJudged) -> bool:
    try:
        return id == ids.judgement_id(event.kept_id, event.judge.name)
    except ValueError:  # the row's id is none
        return False
