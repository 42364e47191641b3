"""`manifest.json`: what an export covers and holds, and a check of its files.

It holds offsets and times of the covered events, but neither the time of export nor its source, so that an export of
the same offsets with the same options has the same manifest, byte for byte.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.policy import Policy
from schemas.upcasting import policy_from_v1

MANIFEST = "manifest.json"
FORMAT = 1


class CoveredOffsets(msgspec.Struct, frozen=True, kw_only=True):
    """Records [start, end) of a partition are covered, up to the last one that was used."""

    topic: str
    partition: int
    start: int
    end: int


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the export; `rows` is None unless it holds data."""

    name: str
    rows: int | None
    bytes: int
    sha256: str


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """Rows left out by id: the list's hash, its ids, and how many rows of the files they would have been."""

    sha256: str
    ids: int
    rows: int


class LeftOutWithDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """Rows left out because the document that they were made from is withdrawn.

    through     the last offset of `documents` that counts
    documents   that are withdrawn as of there
    elsewhere   documents whose text is withdrawn in another run of the export only; none if unset
    rows        of the files they would have been
    """

    through: int
    documents: int
    elsewhere: int | msgspec.UnsetType = msgspec.UNSET
    rows: int


class LeftOutUnanswered(msgspec.Struct, frozen=True, kw_only=True):
    """Rows left out because of their answer, in a run that answers kept instructions alone.

    waiting   rows without an answer yet
    unused    rows whose answer is not used, by reason
    """

    waiting: int
    unused: dict[str, int]


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """Rows left out because of a judge's score: below the minimum, without one, or not judged."""

    judge: str
    min_score: float
    below: int
    unreadable: int
    unjudged: int


class AddedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A further run whose rows joined.

    origin                  its name in the rows: the run's, with a number where two are equal
    through                 the last covered offset of `generated`, -1 for none
    first_time, last_time   of the first generation and the last verdict covered
    kept                    rows that it had kept by then
    withheld, withdrawn, unanswered   as those of the first run
    duplicates, similar     rows left out: equal to an earlier one, too similar to one
    rows                    in each data file
    """

    origin: str
    run: str
    through: int
    first_time: str | None
    last_time: str | None
    kept: int
    withheld: Withheld | msgspec.UnsetType = msgspec.UNSET
    withdrawn: LeftOutWithDocuments | msgspec.UnsetType = msgspec.UNSET
    unanswered: LeftOutUnanswered | msgspec.UnsetType = msgspec.UNSET
    duplicates: int
    similar: int
    rows: int
    offsets: tuple[CoveredOffsets, ...]


class AddedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose rows joined.

    origin                  its name in the rows: the file's, with a number where two are equal
    file_rows               of the file, with those `without_output`, which are left out
    duplicates, similar     rows left out: equal to an earlier one, too similar to one
    rows                    in each data file
    """

    origin: str
    sha256: str
    bytes: int
    file_rows: int
    without_output: int
    duplicates: int
    similar: int
    rows: int


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of other sources that joined those of the run, in the order of the rows.

    run_rows         rows of the run itself, which come first
    with_threshold   added rows more similar than this to an earlier one were left out; None: only equal ones
    """

    run_rows: int
    with_threshold: float | None
    runs: tuple[AddedRun, ...]
    files: tuple[AddedFile, ...]


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the export; `clusters` is None for all."""

    formats: tuple[str, ...]
    clusters: tuple[int, ...] | None
    license: str


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True):
    """An export.

    through                 the last covered offset of `generated`, -1 for none
    first_time, last_time   of the first generation and the last verdict covered
    rows                    in each data file
    withheld                where a judge's minimum score was set
    withdrawn               of a run with documents
    unanswered              of a run that answers kept instructions alone
    added                   where rows of other sources joined
    """

    format: int = FORMAT
    run: str
    through: int
    first_time: str | None
    last_time: str | None
    rows: int
    options: ExportRequest
    excluded: Excluded | None
    withheld: Withheld | msgspec.UnsetType = msgspec.UNSET
    withdrawn: LeftOutWithDocuments | msgspec.UnsetType = msgspec.UNSET
    unanswered: LeftOutUnanswered | msgspec.UnsetType = msgspec.UNSET
    added: Added | msgspec.UnsetType = msgspec.UNSET
    offsets: tuple[CoveredOffsets, ...]
    files: tuple[ExportFile, ...]
    policy: Policy


class AnswersRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an export of answers; `models` and `sets` are None for all."""

    formats: tuple[str, ...]
    models: tuple[str, ...] | None
    sets: tuple[str, ...] | None
    license: str


class AnswerSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answers under one set of conditions; a file of each format holds them.

    name       what its files are named by
    model      its key (`EvaluatedModel.key`)
    sets       how many answers to each set of prompts
    outcomes   how many ended so; those that were refused or failed are in the format `jsonl` only
    """

    name: str
    model: str
    system: str
    shots: int
    template: str | None
    parameters: dict[str, str | int | float | bool | None]
    sets: dict[str, int]
    outcomes: dict[str, int]


class AnswersManifest(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="answers"):
    """An export of answers of evaluated models."""

    format: int = FORMAT
    run: str
    answers: int
    options: AnswersRequest
    series: tuple[AnswerSeries, ...]
    offsets: tuple[CoveredOffsets, ...]
    files: tuple[ExportFile, ...]


@dataclass(frozen=True)
class FileDifference:
    """A file that differs from the manifest."""

    name: str
    what: str


def file_of(path: Path, rows: int | None) -> ExportFile:
    """The entry of a file, from its content."""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return ExportFile(name=path.name, rows=rows, bytes=path.stat().st_size, sha256=digest)


def write_manifest(folder: Path, manifest: ExportManifest | AnswersManifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def _decoded(raw: bytes) -> ExportManifest | AnswersManifest:
    """The manifest; a policy from before policies had clusters is upcast."""
    data = msgspec.json.decode(raw, type=dict[str, Any])
    if "what" in data:
        return msgspec.convert(data, AnswersManifest)
    policy = data.get("policy")
    if isinstance(policy, dict) and "clusters" not in policy:
        data["policy"] = policy_from_v1(policy)
    return msgspec.convert(data, ExportManifest)


def read_manifest(folder: Path) -> ExportManifest:
    """The manifest of the export of rows in `folder`. Raises ConfigurationError when it cannot be read, or has none."""
    manifest = read_any_manifest(folder)
    if isinstance(manifest, AnswersManifest):
        raise ConfigurationError(f"{folder} is an export of answers, not of rows. Export rows with `sedi export`.")
    return manifest


def read_any_manifest(folder: Path) -> ExportManifest | AnswersManifest:
    """The manifest of the export in `folder`. Raises ConfigurationError when it cannot be read."""
    path = folder / MANIFEST
    try:
        manifest = _decoded(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{folder} is not an export: {error}. Make one with `sedi export`.") from error
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path} is not the manifest of an export: {error}. Export the run again.") from error
    if manifest.format != FORMAT:
        raise ConfigurationError(
            f"{path} has format {manifest.format}, and this program reads {FORMAT}. Use the version that wrote it."
        )
    foreign = [file.name for file in manifest.files if Path(file.name).name != file.name]
    if foreign:
        raise ConfigurationError(
            f"{path} names a file outside the folder: {foreign[0]!r}. `sedi export` does not write such a manifest."
        )
    return manifest


def differences(folder: Path) -> tuple[ExportManifest | AnswersManifest, tuple[FileDifference, ...]]:
    """The manifest, and every file of it that is missing or differs. Other files are ignored."""
    manifest = read_any_manifest(folder)
    found = []
    for file in manifest.files:
        try:
            actual = file_of(folder / file.name, file.rows)
        except OSError as error:
            found.append(FileDifference(file.name, f"cannot be read: {error.strerror}"))
            continue
        if actual.bytes != file.bytes:
            found.append(FileDifference(file.name, f"has {actual.bytes:,} bytes, {file.bytes:,} were written"))
        elif actual.sha256 != file.sha256:
            found.append(FileDifference(file.name, "has another SHA-256 than when it was written"))
    return manifest, tuple(found)
