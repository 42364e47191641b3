"""A run's configuration on its log: written once, and read back.

Every program that starts a run may call `configure_run`, repeatedly and two at once. The first `RunConfigured` on the
log counts; a call with another configuration raises an error that lists the differences.
"""

import msgspec

from infra.cluster.topics import apply, plan
from infra.log.source import KafkaSource, Source
from infra.log.writer import LogWriter
from infra.settings import Settings
from schemas import ids
from schemas.errors import ConfigurationError, RunError
from schemas.events import ClassifierFitted, RunConfigured
from schemas.policy import Policy
from schemas.seeds import SeedTask
from schemas.topics import topic_name


def configuration(source: Source) -> tuple[RunConfigured, tuple[ClassifierFitted, ...]]:
    """The run's configuration and its classifiers so far, by the offset from which each applies.

    Deduplicated: the first event with an id counts. Raises RunError when the run is not configured.
    """
    configured, classifiers = _read(source)
    if configured is None:
        raise RunError(
            f"The log of {source.name} has no RunConfigured. Make the run with `sedi configure --run {source.run}`, "
            "or make and start it with `sedi run`."
        )
    return configured, classifiers


def read_run(settings: Settings, run: str) -> tuple[RunConfigured, tuple[ClassifierFitted, ...]]:
    """The `configuration` of a run on the cluster."""
    return configuration(KafkaSource(settings, run))


def configure_run(
    settings: Settings,
    run: str,
    policy: Policy,
    seeds: tuple[SeedTask, ...],
    versions: dict[str, str],
    *,
    classifier: ClassifierFitted,
    component: str = "run",
) -> bool:
    """Create the run's topics and write its configuration and first classifier, unless it is configured.

    Returns True when this call configured the run, False when it was configured with the same policy and seeds;
    `versions` and `classifier` are ignored then. The next call completes one that crashed half-way.
    Raises ConfigurationError with the differences when the run has another policy or other seeds, TopicMismatch when
    its topics are not as declared.
    """
    exists = topic_name(run, "run") not in {topic.name for topic in plan(settings, run, policy.clusters).missing}
    configured, classifiers = _read(KafkaSource(settings, run)) if exists else (None, ())
    if configured is not None:
        _require_same(run, configured, policy, seeds)
    apply(settings, run, policy.clusters)
    cause = ids.run_id(run)
    if configured is None or not classifiers:
        with LogWriter(settings, run, component) as log:
            if configured is None:
                event = RunConfigured(run=run, policy=policy, seeds=seeds, versions=versions)
                log.write(event, key=run, id=cause)
            if not classifiers:
                log.write(classifier, key=run, id=ids.classifier_id(classifier.from_offset), causation_id=cause)
    if configured is not None:
        return False
    # Another program may have written one just before; the first counts.
    _require_same(run, read_run(settings, run)[0], policy, seeds)
    return True


def _read(source: Source) -> tuple[RunConfigured | None, tuple[ClassifierFitted, ...]]:
    configured: RunConfigured | None = None
    classifiers: dict[int, ClassifierFitted] = {}
    with source.open(["run"]) as reading:
        for record in reading.rest():
            match record.event:
                case RunConfigured() as event if configured is None:
                    configured = event
                case ClassifierFitted() as event:
                    classifiers.setdefault(event.from_offset, event)
                case _:
                    pass
    return configured, tuple(classifiers[offset] for offset in sorted(classifiers))


def _require_same(run: str, configured: RunConfigured, policy: Policy, seeds: tuple[SeedTask, ...]) -> None:
    differences = [
        f"{field.name} is {getattr(configured.policy, field.name)!r} there and {getattr(policy, field.name)!r} here"
        for field in msgspec.structs.fields(Policy)
        if getattr(configured.policy, field.name) != getattr(policy, field.name)
    ]
    if configured.seeds != seeds:
        differences.append(_seed_difference(configured.seeds, seeds))
    if differences:
        raise ConfigurationError(
            f"Run {run!r} is already configured, and a run's policy and seeds never change: {'; '.join(differences)}. "
            "Continue it with what it has, or choose another name with --run."
        )


def _seed_difference(there: tuple[SeedTask, ...], here: tuple[SeedTask, ...]) -> str:
    known, given = ({seed.id: seed for seed in seeds} for seeds in (there, here))
    gone = [id for id in known if id not in given]
    new = [id for id in given if id not in known]
    changed = [id for id in known if id in given and known[id] != given[id]]
    differences = [
        f"{len(which)} {how} (first: {which[0]})"
        for which, how in ((gone, "only there"), (new, "only here"), (changed, "with another text"))
        if which
    ]
    return f"seeds: {', '.join(differences) or 'the same in another order'}"
