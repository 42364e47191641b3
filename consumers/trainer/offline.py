"""Where the rows of an offline training come from: a run's archive, or a file in Alpaca's form.

An archive holds the partitions of `kept` as they were, so a training on it makes the batches of one on the log. A file
that `sedi export` wrote has `lineage.jsonl` and `manifest.json` beside it, which say each row's cluster and the batch
size. Any other file's rows are dealt out in turn: row n has cluster n mod batch size, so that a batch is as many rows
of the file as it has places, in the file's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from consumers.export.formats import TEXT_FORMATS
from consumers.export.manifest import MANIFEST, read_manifest
from consumers.export.rows import Lineage
from consumers.trainer.ahead import Feed
from consumers.trainer.data import read_rows
from consumers.trainer.stored import MemoryFeed, SourceFeed
from infra.archive import ArchiveSource
from infra.run import configuration
from schemas import ids
from schemas.errors import ConfigurationError
from schemas.events import Instruction, InstructionKept
from schemas.policy import Policy, policy_for

_BATCH_SIZE = 16
_LINEAGE = TEXT_FORMATS["lineage"].file


@dataclass(frozen=True)
class Origin:
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


def from_archive(folder: Path) -> Origin:
    """The rows of an archived run. Raises ConfigurationError or RunError when there is no such archive."""
    source = ArchiveSource(folder)
    policy = configuration(source)[0].policy
    with source.open(["kept"]) as reading:
        starts, ends = reading.starts(), reading.ends()
    if len(ends) != policy.batch_size:
        raise ConfigurationError(
            f"{source.name} has {len(ends)} partitions of `kept`, but the run's batch_size is {policy.batch_size}: "
            "there must be one for each cluster. Archive the run again."
        )
    return Origin(source.run, policy, sum(ends[place] - starts[place] for place in ends), SourceFeed(source))


def from_file(path: Path, batch_size: int | None) -> Origin:
    """The rows of a file; `batch_size` None: what the manifest beside it says, else 16.

    Raises ConfigurationError when the file, or what lies beside it, cannot be used.
    """
    rows = read_rows(path)
    lineage = path.with_name(_LINEAGE)
    if lineage.is_file():
        run, policy = _exported(path, batch_size)
        kept = _with_lineage(rows, path, lineage, policy)
    else:
        run, policy = path.stem, policy_for("sedi", batch_size=batch_size or _BATCH_SIZE)
        kept = _dealt(run, rows, policy.batch_size)
    return Origin(run, policy, len(rows), MemoryFeed(kept))


def _exported(path: Path, batch_size: int | None) -> tuple[str, Policy]:
    """The run of an export, and its policy: what its manifest says, and without one what is asked for."""
    if not path.with_name(MANIFEST).is_file():
        return path.stem, policy_for("sedi", batch_size=batch_size or _BATCH_SIZE)
    manifest = read_manifest(path.parent)
    if batch_size not in {None, manifest.policy.batch_size}:
        raise ConfigurationError(
            f"batch_size is {batch_size}, but {path} is of run {manifest.run!r}, whose rows have "
            f"{manifest.policy.batch_size} clusters. Leave it out, or take the file alone, without {_LINEAGE} beside."
        )
    return manifest.run, manifest.policy


def _with_lineage(rows: Sequence[Instruction], path: Path, lineage: Path, policy: Policy) -> list[InstructionKept]:
    """The rows with the clusters that the file beside says, line by line."""
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
    wrong = next((line.cluster for line in told if line.cluster >= policy.batch_size), None)
    if wrong is not None:
        raise ConfigurationError(
            f"{lineage} names cluster {wrong}, and batches of {policy.batch_size} rows have clusters up to "
            f"{policy.batch_size - 1}. Say the run's batch size: `--batch-size`."
        )
    return [
        InstructionKept(
            id=line.id,
            instruction=row.instruction,
            input=row.input,
            output=row.output,
            generation_id=line.generation_id,
            generated_offset=line.generated_offset,
            place=line.place,
            cluster=line.cluster,
            classifier_offset=line.classifier_offset,
        )
        for line, row in zip(told, rows, strict=True)
    ]


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
