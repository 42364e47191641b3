"""Which runs evaluated a model that another run trained: their results name that run as where the model came from."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from infra.log.source import KafkaSource
from infra.runs.extent import RunExtent
from infra.settings import Settings
from schemas.errors import ClusterRefused
from schemas.evaluation import EvaluatedModel

_TOPICS = ("measured", "answers")  # whose events name a model


def evaluations(
    settings: Settings, extents: Iterable[RunExtent], progress: Callable[[int], None] = lambda _: None
) -> Mapping[str, tuple[str, ...]]:
    """For each run that trained a model: the other runs that evaluated it, by name.

    Reads the evaluations of all runs given; one that the user may not read is taken to have none. `progress` is called
    with how many more records were read.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for extent in extents:
        for trained in _trained_by(settings, extent, progress) - {extent.run}:
            found[trained].add(extent.run)
    return {run: tuple(sorted(others)) for run, others in found.items()}


def _trained_by(settings: Settings, extent: RunExtent, progress: Callable[[int], None]) -> set[str]:
    """The runs whose models a run evaluated."""
    found: set[str] = set()
    topics = [topic.name for topic in extent.topics if topic.name in _TOPICS and topic.records]
    if not topics:
        return found
    try:
        with KafkaSource(settings, extent.run).open(topics) as reading:
            for record in reading.rest():
                progress(1)
                model = getattr(record.event, "model", None)
                if isinstance(model, EvaluatedModel) and model.trained is not None:
                    found.add(model.trained.run)
    except ClusterRefused:
        return set()
    return found
