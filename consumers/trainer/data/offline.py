"""Where the rows of an offline training come from: a run's archive, or a file of rows.

An archive holds the partitions of `kept` as they were, so a training on it makes the batches of one on the log. A file
that `sedi export` wrote has `lineage.jsonl` and `manifest.json` beside it, which say each row's cluster and the batch
size; for another batch size, clusters are put together until a batch takes as many rows from each. The rows of any
other file, and of a run with one cluster, are dealt out in turn: a batch is the next rows of the file, and
processes can share them. Of these, rows without an output are left out; with lineage they keep their place in a batch,
as on the log, and weigh nothing.
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
from consumers.trainer.data.row_file import Say, check_outputs
from infra.log.archive import ArchiveSource
from infra.log.run import configuration
from infra.tables import read_tasks
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import Instruction, InstructionKept
from schemas.policy import Policy, policy_for, policy_with

_LINEAGE = TEXT_FORMATS["lineage"].file


@dataclass(frozen=True)
class OfflineSource:
    """What a training is of.

    run      the run's name, or that of a file which is of no known run
    rows     how many there are; of an archive, repeats included; None: nobody knows yet
    """

    run: str
    policy: Policy
    rows: int | None
    feed: Feed

    def steps(self, epochs: int) -> int | None:
        """About how many steps they make."""
        if self.rows is None:
            return None
        return max(1, self.rows // self.policy.batch_size) * epochs


def with_batch_size(policy: Policy, batch_size: int | None) -> Policy:
    """The policy with another batch size, if one is given. Raises ConfigurationError when its clusters forbid it."""
    return policy if batch_size is None else policy_with(policy, batch_size=batch_size)


def from_archive(folder: Path, batch_size: int | None = None) -> OfflineSource:
    """The rows of an archived run; `batch_size` None: the policy's.

    Raises ConfigurationError or RunError when there is no such archive, or when its clusters forbid the batch size.
    """
    source = ArchiveSource(folder)
    policy = with_batch_size(configuration(source)[0].policy, batch_size)
    with source.open(["kept"]) as reading:
        starts, ends = reading.starts(), reading.ends()
    if len(ends) != policy.clusters:
        raise ConfigurationError(
            f"{source.name} has {len(ends)} partitions of `kept`, but the run has {policy.clusters} clusters. Archive "
            "the run again."
        )
    return OfflineSource(source.run, policy, sum(ends[place] - starts[place] for place in ends), SourceFeed(source))


def from_file(path: Path, batch_size: int | None, say: Say = lambda line: None) -> OfflineSource:
    """The rows of a file; `batch_size` None: what the manifest beside it says, else 16. `say` is told what is left out.

    Raises ConfigurationError when the file, or what lies beside it, cannot be used, or no row has an output.
    """
    tasks = read_tasks(path)
    lineage = path.with_name(_LINEAGE)
    manifest = read_manifest(path.parent) if lineage.is_file() and path.with_name(MANIFEST).is_file() else None
    run, policy = (path.stem, policy_for("sedi")) if manifest is None else (manifest.run, manifest.policy)
    size = batch_size or policy.batch_size
    if lineage.is_file() and policy.clusters > 1:
        policy = policy_with(policy, clusters=gcd(size, policy.clusters), batch_size=size)
        kept = _with_lineage([task.task for task in tasks], path, lineage, policy)
        check_outputs(path, tasks, say, "train", "trained as nothing")
    else:
        check_outputs(path, tasks, say, "train", "left out")
        policy = policy_with(policy, clusters=size & -size, batch_size=size)  # the greatest power of two in it
        kept = _dealt(run, [task.task for task in tasks if task.answered], policy.clusters)
    return OfflineSource(run, policy, len(kept), MemoryFeed(kept))


def _with_lineage(rows: Sequence[Instruction], path: Path, lineage: Path, policy: Policy) -> list[InstructionKept]:
    """The rows in the run's order, with the clusters that the file beside says, line by line, put together to as many
    as the policy has."""
    decoder = msgspec.json.Decoder(Lineage)
    try:
        told = [decoder.decode(line) for line in lineage.read_bytes().split(b"\n") if line]
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{lineage} cannot be read as lineage: {error}. Export the run again.") from error
    if len(told) != len(rows):
        raise ConfigurationError(
            f"{lineage} is of {len(told):,} rows, and {path.name} has {len(rows):,}: it is not of them. Put the file "
            "into a folder of its own, or export the run again."
        )
    found = [
        InstructionKept(
            id=line.id,
            instruction=row.instruction,
            input=row.input,
            output=row.output,
            generation_id=line.generation_id,
            generated_offset=line.generated_offset,
            place=line.place,
            cluster=line.cluster % policy.clusters,
            classifier_offset=line.classifier_offset,
        )
        for line, row in zip(told, rows, strict=True)
    ]
    return sorted(found, key=lambda kept: (kept.generated_offset, kept.place))


def _dealt(name: str, rows: Sequence[Instruction], clusters: int) -> list[InstructionKept]:
    """The rows of a file that says nothing of clusters."""
    root = ids.run_id(name)
    return [
        InstructionKept(
            id=ids.child(root, f"row/{number}"),
            instruction=row.instruction,
            input=row.input,
            output=row.output,
            generation_id=root,
            generated_offset=number,
            place=0,
            cluster=number % clusters,
            classifier_offset=0,
        )
        for number, row in enumerate(rows)
    ]
