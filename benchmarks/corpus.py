"""Documents read, cut from files, deduplicated and written to a real broker: speed, and memory while it goes on.

The corpus is made from the public one, or from this project's pages: it is repeated, and each repetition changes each
document. Most of them lightly, so that they are near-duplicates; some by other words all over, so that they are new.
"""

import gzip
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from infra.local_broker.temporary_broker import temporary_broker
from infra.settings import load
from producers.documents.corpus.add import CorpusOptions, CorpusSummary, add_corpus
from producers.documents.corpus.files import corpus_files
from sedi.ensure_run import ensure_run

MB = 50
_NEW = 0.1  # share of the documents of a repetition that are new
_CHANGED = 0.25  # share of the words of a new one that are replaced
_FILE_BYTES = 50_000_000
_MARKS = (10, 50, 100)
_MIB = 2**20

Step = Callable[..., None]


@dataclass(frozen=True)
class CorpusAdded:
    """What was measured.

    mb, files       size of the made corpus, 10^6 bytes of text in JSON Lines
    resident_mib    of this process after so many percent of the documents
    """

    mb: float
    files: int
    documents: int
    used: int
    dropped: dict[str, int]
    seconds: float
    documents_per_s: float
    mb_per_s: float
    resident_mib: dict[int, float]


def measure(mb: int, step: Step) -> CorpusAdded:
    """Make a corpus of so many 10^6 bytes and add it to a run."""
    with tempfile.TemporaryDirectory(prefix="sedi-bench-corpus-") as name:
        folder = Path(name) / "texts"
        folder.mkdir()
        step("making the corpus", 0, 1)
        documents, size = _make(folder, mb * 1_000_000)
        marks = {documents * percent // 100: percent for percent in _MARKS}
        resident: dict[int, float] = {}
        process, read = psutil.Process(), 0

        def on_read(more: int) -> None:
            nonlocal read
            read += more
            if read in marks:
                resident[marks[read]] = process.memory_info().rss / _MIB
            if read % 1_000 == 0:
                step("adding", read, documents)

        with temporary_broker(load(state_dir=Path(name)), short_lived=False) as broker:
            ensure_run(broker.settings, "corpus", lambda _: None)
            began = time.monotonic()
            options = CorpusOptions("corpus", corpus_files([folder]))
            found: CorpusSummary = add_corpus(options, broker.settings, on_read=on_read)
            seconds = time.monotonic() - began
    return CorpusAdded(
        mb=size / 1e6,
        files=found.files,
        documents=found.read,
        used=found.kept,
        dropped=dict(found.dropped.items()),
        seconds=seconds,
        documents_per_s=found.read / seconds,
        mb_per_s=size / 1e6 / seconds,
        resident_mib=resident,
    )


def _texts() -> list[str]:
    """Documents of the public corpus, else this project's pages."""
    folder = Path(os.environ.get("SEDI_DATA", "../shared/data")) / "corpus"
    found: list[str] = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            row = json.loads(line)
            found += [text for name in ("text", "passage", "content") if isinstance(text := row.get(name), str)]
    return found or [file.read_text(encoding="utf-8") for file in sorted(Path("docs").rglob("*.md"))]


def _make(folder: Path, size: int) -> tuple[int, int]:
    """Write files of changed texts; returns how many documents and bytes."""
    written = documents = number = 0
    lines = _changed(_texts(), random.Random(7))
    while written < size:
        with (folder / f"{number:04}.jsonl").open("wb") as file:
            while written < size and file.tell() < _FILE_BYTES:
                line = json.dumps({"text": next(lines)}, ensure_ascii=False).encode() + b"\n"
                file.write(line)
                written += len(line)
                documents += 1
        number += 1
    return documents, written


def _changed(texts: list[str], rng: random.Random) -> Iterator[str]:
    """The texts, again and again, each time changed."""
    vocabulary = sorted({word for text in texts for word in text.split()})
    while True:
        for text in texts:
            words = text.split(" ")
            share = _CHANGED if rng.random() < _NEW else 1 / (40 + len(words))
            for _ in range(max(1, round(share * len(words)))):
                words[rng.randrange(len(words))] = rng.choice(vocabulary)
            yield " ".join(words)


def show(console: Console, found: CorpusAdded) -> None:
    """The figures as text."""
    table = Table("measured", "value")
    table.add_row("corpus", f"{found.mb:,.0f} MB in {found.files} files")
    table.add_row("documents", f"{found.documents:,}, {found.used:,} used")
    table.add_row("dropped", ", ".join(f"{count:,} {reason}" for reason, count in found.dropped.items()) or "none")
    table.add_row(
        "speed", f"{found.documents_per_s:,.0f} documents/s, {found.mb_per_s:.2f} MB/s, {found.seconds:,.0f} s"
    )
    for percent, mib in found.resident_mib.items():
        table.add_row(f"resident after {percent} %", f"{mib:,.0f} MiB")
    console.print(table)


def write_json(path: Path, found: CorpusAdded) -> None:
    """All results."""
    path.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
