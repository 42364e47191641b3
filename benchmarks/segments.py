"""How fast documents are cut: sentences by nupunkt and by a plain pattern, and each strategy.

The texts are those of the public corpora (`$SEDI_DATA/corpus`); without them, those of the project's own pages.
Seconds are processor time of one thread.
"""

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.texts import data_folder
from producers.documents.segments import CutOptions, cut
from producers.documents.segments.sentences import outline, sentence_spans
from schemas import ids
from schemas.segments import ALL_STRATEGIES

_PLAIN = re.compile(r"(?<=[.!?])\s+")

Step = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """`what` was done with `characters` characters; `found` sentences or segments, by form where they have one."""

    what: str
    characters: int
    seconds: float
    found: int
    forms: dict[str, int]


def measure(step: Step) -> list[Result]:
    """Sentences in two ways, the outline, each strategy by itself, and three together."""
    texts = _texts()
    outline(texts[0])  # loads the model of sentences
    ways: dict[str, Callable[[str], Sequence[str]]] = {
        "sentences, plain pattern": lambda text: [""] * len(_PLAIN.split(text)),
        "sentences, nupunkt": lambda text: [""] * len(sentence_spans(text)),
        "blocks and fit sentences": lambda text: [""] * len(outline(text).sentences),
    }
    alone = {f"cut, {name}": CutOptions({name: 1}) for name in ALL_STRATEGIES}
    mixed = {"cut, random=1,salient=1,structural=1": CutOptions({"random": 1, "salient": 1, "structural": 1})}
    for name, options in (alone | mixed).items():
        ways[name] = lambda text, options=options: [segment.form or "" for segment in cut(_ID, 0, text, options, 0)]
    results = []
    for name, way in ways.items():
        step(name)
        results.append(_timed(name, texts, way))
    return results


_ID = ids.child(ids.run_id("benchmark"), "document")


def _timed(what: str, texts: Sequence[str], way: Callable[[str], Sequence[str]]) -> Result:
    started = time.process_time()
    found = [form for text in texts for form in way(text)]
    seconds = time.process_time() - started
    forms = dict(Counter(form for form in found if form).most_common())
    return Result(what, sum(map(len, texts)), seconds, len(found), forms)


def _texts() -> list[str]:
    files = sorted((data_folder() / "corpus").glob("*.gz"))
    if files:
        return [text for path in files for text in _read(path)]
    return [path.read_text(encoding="utf-8") for path in sorted(Path("docs").rglob("*.md"))]


def _read(path: Path) -> Iterable[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        if path.name.endswith(".jsonl.gz"):
            yield from (json.loads(line)["text"] for line in lines)
        else:
            yield lines.read()


def show(console: Console, found: list[Result]) -> None:
    """Print a table."""
    table = Table(title=f"Segments of {found[0].characters / 1e6:.2f} M characters")
    for column in ("what", "M characters/s", "found", "by form"):
        table.add_column(column, justify="left" if column in ("what", "by form") else "right")
    for result in found:
        forms = ", ".join(f"{form} {count:,}" for form, count in result.forms.items())
        speed = result.characters / 1e6 / max(result.seconds, 1e-9)
        table.add_row(result.what, f"{speed:.2f}", f"{result.found:,}", forms)
    console.print(table)


def write_json(path: Path, found: list[Result]) -> None:
    """Write the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
