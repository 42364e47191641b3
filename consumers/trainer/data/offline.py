"""The rows of an offline training: a run's archive, or a file of rows.

An archive holds the partitions of `kept`, or of `answered`, so a training on it has the batches of one on the log. A
file that `sedi export` wrote has `lineage.jsonl` and `manifest.json` beside it, which give each row's cluster and the
batch size; for another batch size, clusters are merged until a batch takes equally many rows from each. The rows of any
other file, of a run with one cluster, and of an export of several sources, whose clusters have nothing in common, are
dealt round-robin to clusters: a batch is the next rows of the file, and ranks can share them. Rows without an output
are left out; with lineage they keep their slot in a batch, as on the log, with no weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import msgspec

from consumers.export.formats import TEXT_FORMATS
from consumers.export.manifest import MANIFEST, read_manifest
from consumers.export.rows import Lineage
from consumers.trainer.data.archive_feed import MemoryFeed, SourceFeed
from consumers.trainer.data.log_feed import Feed
from consumers.trainer.data.row_file import Say, check_outputs, teaching
from consumers.trainer.data.withdrawn_rows import SourceRanges, TopicRanges
from infra.log.archive import ArchiveSource
from infra.log.run import configuration
from infra.models.turned_rows import Task
from infra.tables import read_tasks
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import Instruction, InstructionKept
from schemas.policy import Policy, policy_for, policy_with
from streams.core.answering import rows_topic

_LINEAGE = TEXT_FORMATS["lineage"].file


@dataclass(frozen=True)
class RowSource:
    """The rows that a training reads.

    run      the run's name; for a file of no known run the file's
    rows     how many there are, for an archive with duplicates; None: unknown
    log      where withdrawals of documents are read from; None: the rows come from no log
    """

    run: str
    policy: Policy
    rows: int | None
    feed: Feed
    log: TopicRanges | None = None

    def steps(self, epochs: int) -> int | None:
        """About how many steps the rows make."""
        if self.rows is None:
            return None
        return max(1, self.rows // self.policy.batch_size) * epochs


def with_batch_size(policy: Policy, batch_size: int | None) -> Policy:
    """The policy with another batch size, if one is given. Raises ConfigurationError when its clusters do not fit."""
    return policy if batch_size is None else policy_with(policy, batch_size=batch_size)


def from_archive(folder: Path, batch_size: int | None = None) -> RowSource:
    """The rows of an archived run; `batch_size` None: the policy's.

    Raises ConfigurationError or RunError when there is no such archive, or its clusters do not fit the batch size.
    """
    source = ArchiveSource(folder)
    policy = with_batch_size(configuration(source)[0].policy, batch_size)
    topic = rows_topic(policy)
    with source.open([topic]) as reading:
        starts, ends = reading.starts(), reading.ends()
    if len(ends) != policy.clusters:
        raise ConfigurationError(
            f"{source.name} has {len(ends)} partitions of `{topic}`, but the run has {policy.clusters} clusters. "
            "Archive the run again."
        )
    rows = sum(ends[place] - starts[place] for place in ends)
    return RowSource(source.run, policy, rows, SourceFeed(source, topic), SourceRanges(source))


def from_file(path: Path, batch_size: int | None, say: Say = lambda line: None, task: Task = "follow") -> RowSource:
    """The rows of a file; `batch_size` None: that of the manifest beside it, else 16. `say` reports rows left out.

    task   `instruct`: without lineage, rows that an instruction generator learns nothing from are left out before the
           others are dealt to clusters

    Raises ConfigurationError when the file, its lineage or its manifest cannot be used, or no row has an output.
    """
    tasks = read_tasks(path)
    lineage = path.with_name(_LINEAGE)
    manifest = read_manifest(path.parent) if lineage.is_file() and path.with_name(MANIFEST).is_file() else None
    run, policy = (path.stem, policy_for("sedi")) if manifest is None else (manifest.run, manifest.policy)
    size = batch_size or policy.batch_size
    mixed = manifest is not None and not isinstance(manifest.added, msgspec.UnsetType)
    if lineage.is_file() and policy.clusters > 1 and not mixed:
        policy = policy_with(policy, clusters=gcd(size, policy.clusters), batch_size=size)
        kept = _with_lineage([each.task for each in tasks], path, lineage, policy)
        check_outputs(path, tasks, say, "train", "trained with no weight")
    else:
        check_outputs(path, tasks, say, "train", "left out")
        policy = policy_with(policy, clusters=size & -size, batch_size=size)  # the largest power of two that divides it
        dealt = [each for each in tasks if each.answered] if task == "follow" else teaching(path, tasks, say)
        kept = _dealt(run, [each.task for each in dealt], policy.clusters)
    return RowSource(run, policy, len(kept), MemoryFeed(kept))


def _with_lineage(rows: Sequence[Instruction], path: Path, lineage: Path, policy: Policy) -> list[InstructionKept]:
    """The rows in the run's order, with the clusters of the lineage file, merged to as many as the policy has."""
    decoder = msgspec.json.Decoder(Lineage)
    try:
        lines = [decoder.decode(line) for line in lineage.read_bytes().split(b"\n") if line]
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{lineage} cannot be read as lineage: {error}. Export the run again.") from error
    if len(lines) != len(rows):
        raise ConfigurationError(
            f"{lineage} has {len(lines):,} rows and {path.name} has {len(rows):,}, so it belongs to another file. Put "
            "the file into a folder of its own, or export the run again."
        )
    kept_rows = [
        InstructionKept(
            **msgspec.structs.asdict(row),
            id=line.id,
            generation_id=line.generation_id,
            generated_offset=line.generated_offset,
            place=line.place,
            cluster=line.cluster % policy.clusters,
            classifier_offset=line.classifier_offset,
        )
        for line, row in zip(lines, rows, strict=True)
    ]
    return sorted(kept_rows, key=lambda kept: (kept.generated_offset, kept.place))


def _dealt(name: str, rows: Sequence[Instruction], clusters: int) -> list[InstructionKept]:
    """The rows of a file without lineage, dealt round-robin to clusters."""
    root = ids.run_id(name)
    return [
        InstructionKept(
            **msgspec.structs.asdict(row),
            id=ids.child(root, f"row/{number}"),
            generation_id=root,
            generated_offset=number,
            place=0,
            cluster=number % clusters,
            classifier_offset=0,
        )
        for number, row in enumerate(rows)
    ]
