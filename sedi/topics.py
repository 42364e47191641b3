"""`sedi topics`: the topics that a run has and needs, and creating them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi.commands import add_group, command
from sedi.options import DEFAULT_RUN, CommonOptions, ExitCode, Run

if TYPE_CHECKING:
    from infra.cluster.topics import TopicPlan
    from infra.settings import Settings

_DEFAULT_CLUSTERS = 16


def _checked(clusters: int | None) -> int | None:
    from schemas.policy import Policy

    if clusters is not None:
        Policy(clusters=clusters, batch_size=clusters)  # raises unless it is a power of two
    return clusters


Clusters = Annotated[
    int | None,
    typer.Option(
        "--clusters",
        callback=_checked,
        min=1,
        help=f"Clusters. Default: those of the run, or {_DEFAULT_CLUSTERS} if it is new.",
    ),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", callback=_checked, min=1, hidden=True)]
"""The older name of `--clusters`."""


def register(app: typer.Typer) -> None:
    add_group(app, "topics", "The topics of a run: plan, apply.", (plan, apply))


@command("plan", "sedi topics plan --run demo --clusters 16")
def plan(
    *, run: Run = DEFAULT_RUN, clusters: Clusters = None, batch_size: BatchSize = None, common: CommonOptions
) -> None:
    """Show which topics exist, which would be created and what differs; changes nothing.

    Ends with 1 when a topic differs from its declaration.
    """
    from infra.cluster import topics

    settings = common.cluster()
    found = topics.plan(settings, run, _size(settings, run, clusters or batch_size))
    _print(run, found, common.as_json, done=False)
    if found.differences:
        raise typer.Exit(ExitCode.FAILED)


@command("apply", "sedi topics apply --run demo --clusters 16")
def apply(
    *, run: Run = DEFAULT_RUN, clusters: Clusters = None, batch_size: BatchSize = None, common: CommonOptions
) -> None:
    """Create the missing topics; alters and deletes nothing.

    Ends with 1, having created nothing, when a topic differs from its declaration.
    """
    from infra.cluster import topics

    settings = common.cluster()
    _print(run, topics.apply(settings, run, _size(settings, run, clusters or batch_size)), common.as_json, done=True)


def _size(settings: Settings, run: str, given: int | None) -> int:
    """The given clusters, or those of the run: another default would be a mismatch."""
    from infra.cluster.topics import clusters_of_run

    if given is not None:
        return given
    return clusters_of_run(settings, run) or _DEFAULT_CLUSTERS


def _print(run: str, found: TopicPlan, as_json: bool, *, done: bool) -> None:
    from sedi.output import console, print_json, table

    if as_json:
        print_json(found)
        return
    differing: dict[str, list[str]] = {}
    for difference in found.differences:
        text = f"{difference.property} is {difference.found}, declared is {difference.wanted}"
        differing.setdefault(difference.topic, []).append(text)
    rows = [
        (topic.name, topic.partitions, "; ".join(differing.get(topic.name, ["exists"]))) for topic in found.existing
    ] + [(topic.name, topic.partitions, "created" if done else "to be created") for topic in found.missing]
    console().print(table(f"Topics of run {run}", ("topic", "#partitions", "state"), sorted(rows)))
