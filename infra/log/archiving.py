"""Writes a run's log from the cluster into an archive (`infra.log.archive`).

The end offsets are fixed at the start, effects before causes and the worker's changelogs first: a generation that they
mark as decided has its verdict in the archive. The files are written into a hidden folder, which is renamed when
complete, so a folder with the archive's name is always complete.

Guaranteed: the same offsets give the same bytes, compressed ones with the same zlib. Memory is bounded: at most a few
thousand records of each partition are buffered.
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

_EVERY = 1000  # records between two progress reports


def write_archive(
    settings: Settings, run: str, folder: Path, *, compress: bool = False, show: Show = lambda what, done, total: None
) -> ArchiveManifest:
    """Write a run's whole log into a new folder.

    Raises ConfigurationError when the folder exists or cannot be written, RunError when the run is not on the cluster,
    BrokerError when the cluster does not answer. Leaves nothing behind then.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already, and an archive never overwrites. Name another folder.")
    tables = existing_tables(settings, run)
    # Among effects of equal rank the end offsets are read in this order: tables before dead letters.
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
        existing = set(admin.list_topics())
    return tuple(table for table in TABLES if topic_name(run, table) in existing)


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
    """Write a partition's records as lines and flush them to disk; returns how many."""
    records = 0
    with path.open("wb") as raw:
        file = cast("IO[bytes]", gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if path.suffix == ".gz" else raw
        while (record := reading.next(*place)) is not None:
            file.write(line_of(record))
            records += 1
            if records % _EVERY == 0:
                show(records)
        if file is not raw:
            file.close()  # flushes, and leaves `raw` open
        raw.flush()
        os.fsync(raw.fileno())
    return records
