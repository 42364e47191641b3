"""Generates JSON Schemas and an AsyncAPI document, for other programs that read the log.

    python -m schemas.generate           write schemas/jsonschema/*.json and schemas/asyncapi.yaml
    python -m schemas.generate --check   write nothing; exit 1 and name the files that differ

Both depend only on the registry, the event classes and the topic files: the same source gives the same bytes. Only the
current version of an event has a class, so the schema of an older version is the file generated while it was current;
its existence is checked, its content cannot be.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.async_api import async_api, message_name, versions
from schemas.json_schema import json_schema, text
from schemas.registry import SPECS

HERE = Path(__file__).parent
SCHEMAS = "jsonschema"
ASYNC_API = "asyncapi.yaml"


def documents() -> dict[str, str]:
    """The files: text by path under `schemas/`."""
    made = {f"{SCHEMAS}/{message_name(spec, spec.version)}.json": text(json_schema(spec)) for spec in SPECS.values()}
    return {**made, ASYNC_API: async_api()}


def drift(folder: Path = HERE) -> list[str]:
    """The files under `folder` that differ from what would be written, each with the reason."""
    made = documents()
    found = []
    for name, wanted in made.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path}: is missing")
        elif path.read_text(encoding="utf-8") != wanted:
            found.append(f"{path}: differs from the classes")
    known = {f"{message_name(spec, version)}.json" for spec, version in versions()}
    there = {path.name for path in (folder / SCHEMAS).glob("*")}
    lost = known - there - {Path(name).name for name in made}
    found += [f"{folder / SCHEMAS / name}: is missing; old versions stay for ever" for name in sorted(lost)]
    found += [f"{folder / SCHEMAS / name}: belongs to no event" for name in sorted(there - known)]
    return found


def write(folder: Path = HERE) -> None:
    """Write every document under `folder`; nothing is removed."""
    for name, wanted in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, encoding="utf-8", newline="\n")


def main(arguments: Sequence[str] | None = None, folder: Path = HERE) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that drift")
    if not parser.parse_args(arguments).check:
        write(folder)
    found = drift(folder)
    for line in found:
        sys.stderr.write(f"{line}\n")
    if found:
        sys.stderr.write("Run `python -m schemas.generate`, and take back or remove what it leaves.\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
