"""Writing a run's log from the cluster into an archive (`infra.log.archive`).

What the archive covers is fixed at the start, effects before causes, the worker's changelogs first of all: they must
not say of a generation that it is decided unless its verdict is in the archive too. The files are written into a hidden
folder beside the one asked for and get its name when all are there, so a folder of that name is always a whole archive.

Guaranteed: the same offsets give the same bytes (compressed ones too, with the same zlib). Memory does not grow with
the log: a few thousand records of each partition wait at most.
"""

import gzip
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, cast

import msgspec

from infra.cluster.admin import administrator
from infra.digest import sha256_of
from infra.log.archive import FORMAT, MANIFEST, ArchiveFile, ArchiveManifest, Show, line_of
from infra.log.record import Partition
from infra.log.source import TOPICS, KafkaSource, Reading, dead_letter_topics
from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.topics import topic_name

TABLES = tuple(f"worker-{table}-changelog" for table in ("kept", "scores", "seeds"))
"""Short names of the changelogs of the worker's tables, as Faust names them."""

_EVERY = 1000  # records between two looks at how far it is


def write_archive(
    settings: Settings, run: str, folder: Path, *, compress: bool = False, show: Show = lambda what, done, total: None
) -> ArchiveManifest:
    """Write all of a run's log into a new folder.

    Raises ConfigurationError when the folder is there or cannot be written, RunError when the run is not on the
    cluster, BrokerError when the cluster does not answer. Nothing is left behind then.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already, and an archive never overwrites. Name another folder.")
    tables = existing_tables(settings, run)
    # Reading asks for the ends of equals in this order: tables before dead letters.
    with KafkaSource(settings, run).open((*tables, *dead_letter_topics(), *TOPICS)) as reading:
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            unfinished.mkdir(parents=True)
            files = _write(reading, unfinished, ".jsonl.gz" if compress else ".jsonl", show)
            manifest = ArchiveManifest(
                format=FORMAT,
                run=run,
                files=tuple(file for file in files if file.topic not in TABLES),
                tables=tuple(file for file in files if file.topic in TABLES),
            )
            (unfinished / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
            unfinished.rename(folder)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be written: {error}. Name another folder.") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def existing_tables(settings: Settings, run: str) -> tuple[str, ...]:
    """Those of TABLES that the cluster has: none before the run's first worker."""
    with administrator(settings) as admin:
        there = set(admin.list_topics())
    return tuple(table for table in TABLES if topic_name(run, table) in there)


def _write(reading: Reading, folder: Path, suffix: str, show: Show) -> list[ArchiveFile]:
    starts, ends = reading.starts(), reading.ends()
    total = sum(ends[place] - starts[place] for place in ends)
    files: list[ArchiveFile] = []
    done = 0
    for place in sorted(ends):
        path = folder / f"{place[0]}-{place[1]}{suffix}"
        records = _write_file(reading, place, path, partial(_show_more, show, done, total))
        done += ends[place] - starts[place]
        files.append(
            ArchiveFile(
                name=path.name,
                topic=place[0],
                partition=place[1],
                start=starts[place],
                end=ends[place],
                records=records,
                sha256=sha256_of(path),
            )
        )
    show("archiving", total, total)
    return files


def _show_more(show: Show, done: int, total: int, more: int) -> None:
    show("archiving", done + more, total)


def _write_file(reading: Reading, place: Partition, path: Path, show: Callable[[int], None]) -> int:
    """Write a partition's records as lines; returns how many. On the disk when this returns."""
    records = 0
    with path.open("wb") as raw:
        file = cast("IO[bytes]", gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if path.suffix == ".gz" else raw
        while (record := reading.next(*place)) is not None:
            file.write(line_of(record))
            records += 1
            if records % _EVERY == 0:
                show(records)
        if file is not raw:
            file.close()  # writes what it still holds, and leaves `raw` open
        raw.flush()
        os.fsync(raw.fileno())
    return records
