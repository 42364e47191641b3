"""Seed files of one's own: checked and kept by name under `state_dir/seeds`, found again by name or by path."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.seeds import SeedTask, parse_seed_lines

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class InstalledSeeds:
    """A seed file that was checked and installed."""

    name: str
    path: Path
    seeds: int
    classification: int


def install(settings: Settings, file: Path, name: str | None = None, *, replace: bool = False) -> InstalledSeeds:
    """Check a seed file and copy it, as it is, to where `find` looks.

    Raises ConfigurationError for a file that cannot be read or holds something else, for a name that will not do, and
    for a name that is taken by other seeds unless `replace`.
    """
    name = file.stem if name is None else name
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"Seed set name {name!r} will not do. Give letters, digits, '.', '-', '_' with --name."
        )
    text = _text(file)
    # Not splitlines: it also cuts at line separators that JSON strings may hold.
    seeds = parse_seed_lines(text.split("\n"), str(file))
    target = _place(settings, name)
    if target.exists() and not replace and _text(target) != text:
        raise ConfigurationError(f"There are other seeds named {name!r} in {target}. Use --name, or --replace.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(target)
    except OSError as error:
        raise ConfigurationError(
            f"{target} cannot be written: {error}. Make it writable, or use --state-dir."
        ) from error
    return InstalledSeeds(name, target, len(seeds), sum(seed.is_classification for seed in seeds))


def find(settings: Settings, name_or_file: str) -> tuple[SeedTask, ...]:
    """The seeds installed under a name or, when there are none, those in the file of that path.

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
    return parse_seed_lines(_text(path).split("\n"), str(path))


def _place(settings: Settings, name: str) -> Path:
    return settings.state_dir / "seeds" / f"{name}.jsonl"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read as UTF-8 text: {error}. Give a JSON Lines file.") from error
