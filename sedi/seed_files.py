"""The user's seed files: checked and installed by name under `state_dir/seeds`, found by name or by path.

They are read in any form that `infra.tables` reads, and stored as `schemas.seeds` defines. Each seed must have an
output, because the LLM is shown it. A row without an `id` gets its number: `seed_1` and so on.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from infra.columns import EXPECTED, named
from infra.settings import Settings
from infra.tables import read_tasks
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask, seed_line

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class InstalledSeeds:
    """A seed file that was checked and installed."""

    name: str
    path: Path
    seeds: int
    classification: int


def install(settings: Settings, file: Path, name: str | None = None, *, replace: bool = False) -> InstalledSeeds:
    """Check a seed file and install its seeds for `find`.

    Raises ConfigurationError for a file that cannot be read or holds something else, for an invalid name, and for a
    name of other seeds unless `replace`.
    """
    name = Path(file.name.removesuffix(".gz")).stem if name is None else name
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"Seed set name {name!r} is invalid. Give letters, digits, '.', '-', '_' with --name.")
    seeds = _read(file)
    target = _place(settings, name)
    if target.exists() and not replace and _read(target) != seeds:
        raise ConfigurationError(f"There are other seeds named {name!r} in {target}. Use --name, or --replace.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
        fresh.write_bytes(b"".join(seed_line(seed) + b"\n" for seed in seeds))
        fresh.replace(target)
    except OSError as error:
        raise ConfigurationError(
            f"{target} cannot be written: {error}. Make it writable, or use --state-dir."
        ) from error
    return InstalledSeeds(name, target, len(seeds), sum(seed.is_classification for seed in seeds))


def find(settings: Settings, name_or_file: str) -> tuple[SeedTask, ...]:
    """The seeds installed under a name, else those in the file of that path.

    Raises ConfigurationError when there is neither, or the file holds something else.
    """
    installed = _place(settings, name_or_file) if _NAME.fullmatch(name_or_file) else None
    path = installed if installed is not None and installed.is_file() else Path(name_or_file)
    if not path.is_file():
        known = sorted(file.stem for file in (settings.state_dir / "seeds").glob("*.jsonl"))
        raise ConfigurationError(
            f"There are no seeds {name_or_file!r}: no such file, and installed are {', '.join(known) or 'none'}. "
            "Install a file with `sedi seeds import FILE`."
        )
    return _read(path)


def _place(settings: Settings, name: str) -> Path:
    return settings.state_dir / "seeds" / f"{name}.jsonl"


def _read(file: Path) -> tuple[SeedTask, ...]:
    """The seeds of a file. Raises ConfigurationError for a seed without an output, and for a duplicate id."""
    seeds: dict[str, SeedTask] = {}
    for number, row in enumerate(read_tasks(file), start=1):
        id = row.id or f"seed_{number}"
        if not row.answered:
            raise ConfigurationError(
                f"{file}, {row.place}: seed {id!r} has no output. Fields found: {named(row.fields)}. {EXPECTED}"
            )
        if id in seeds:
            raise ConfigurationError(f"{file}, {row.place}: seed id {id!r} is a duplicate. Make ids unique.")
        seeds[id] = SeedTask(
            id=id,
            instruction=row.task.instruction,
            input=row.task.input,
            output=row.task.output,
            is_classification=row.is_classification,
        )
    return tuple(seeds.values())
