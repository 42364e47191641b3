"""The topics of a run, declared as data: one small YAML file each under `schemas/topics/`.

A topic of run `demo` is called `sedi.demo.<name>`; its dead letters go to `sedi.demo.<name>.dlq`.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from schemas.errors import ConfigurationError

_RUN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class TopicSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One declared topic. `partitions` is a number, or `clusters` for one partition a cluster.

    A run may lack a topic that is `optional`: readers treat it as empty, and its writer creates it.
    """

    name: str
    description: str
    events: tuple[str, ...]
    key: str
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    partitions: int | Literal["clusters"]
    config: dict[str, str]
    dead_letters: bool = True
    optional: bool = False

    def partition_count(self, clusters: int) -> int:
        """Partitions of this topic in a run with so many clusters."""
        return clusters if self.partitions == "clusters" else self.partitions


@cache
def topic_specs() -> tuple[TopicSpec, ...]:
    """All declared topics, by name."""
    import yaml

    folder = files("schemas") / "topics"
    specs = [
        msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), TopicSpec)
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    ]
    return tuple(sorted(specs, key=lambda spec: spec.name))


def is_optional(topic: str) -> bool:
    """Whether a run may lack this topic or dead-letter topic (a short name)."""
    return any(spec.optional and topic in (spec.name, dead_letter_name(spec.name)) for spec in topic_specs())


def lacking(wanted: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    """The optional topics of `wanted` that are not in `there`; they are read as empty."""
    known = set(there)
    return tuple(topic for topic in wanted if topic not in known and is_optional(topic))


def check_run_name(run: str) -> str:
    """Returns the name. Raises ConfigurationError if topics cannot be named by it."""
    if not _RUN_NAME.fullmatch(run):
        raise ConfigurationError(
            f"Run name {run!r} will not do. Use 1 to 63 lower-case letters, digits, '-' and '_', "
            "starting with a letter or digit."
        )
    return run


def topic_name(run: str, topic: str) -> str:
    """The full name of a run's topic on the cluster."""
    return f"sedi.{check_run_name(run)}.{topic}"


def dead_letter_name(topic: str) -> str:
    """The dead-letter topic of `topic` (a full name)."""
    return f"{topic}.dlq"
