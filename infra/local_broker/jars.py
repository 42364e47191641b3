"""Fetches Kafka's jars, once per machine: Maven resolves `node/pom.xml`, and the result is verified.

The jars are copied into a temporary folder, compared with the digests in `node/jars.json`, and then renamed. So a
folder with the final name is complete, and an interrupted fetch is repeated. A lock serialises two processes. Maven
does not download again what it has cached.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from infra.digest import sha256_of
from infra.local_broker.java import find_java
from infra.machine.processes import file_lock, run_program
from infra.settings import Settings
from schemas.errors import BrokerError

KAFKA_VERSION = "4.3.1"
FILES = Path(__file__).parent / "node"
Progress = Callable[[str], None]
_FETCH_S = 900.0
_OTHER_CLUSTER = "or set SEDI_BOOTSTRAP_SERVERS to a Kafka cluster that runs elsewhere"


def lib_dir(settings: Settings) -> Path:
    """Where the jars are, or will be."""
    return settings.cache_dir.expanduser().resolve() / f"kafka-{KAFKA_VERSION}" / "lib"


def digests() -> dict[str, str]:
    """SHA-256 of each jar, by file name: the contents of a complete `lib` folder."""
    found: dict[str, str] = json.loads((FILES / "jars.json").read_text(encoding="ascii"))
    return found


def is_fetched(settings: Settings) -> bool:
    """Whether all jars exist, by name."""
    lib = lib_dir(settings)
    return all((lib / name).is_file() for name in digests())


def find_maven() -> Path | None:
    """Maven's `mvn` on PATH."""
    found = shutil.which("mvn")
    return None if found is None else Path(found)


def fetch(settings: Settings, progress: Progress | None = None) -> Path:
    """Make sure the jars are in the cache folder; returns the folder that holds them.

    Raises BrokerError when there is no Maven or no Java, when Maven fails, when a jar is not the expected one, and
    when the folder cannot be written to.
    """
    lib = lib_dir(settings)
    if is_fetched(settings):
        return lib
    if os.pathsep in str(lib):
        raise BrokerError(
            f"cache_dir {str(lib)!r} holds {os.pathsep!r}, which Java reads as a separator. Set SEDI_CACHE_DIR to "
            "another folder."
        )
    try:
        lib.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(lib.parent / "lock"):
            if is_fetched(settings):
                return lib
            for leftover in lib.parent.glob("fetching-*"):
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix="fetching-", dir=lib.parent) as folder:
                fetched = Path(folder) / "lib"
                _run_maven(fetched, progress)
                _verify(fetched)
                if lib.exists():
                    shutil.rmtree(lib)
                fetched.rename(lib)
    except OSError as error:
        raise BrokerError(
            f"Kafka's jars cannot be put into {lib.parent}: {error}. Make room or make it writable (44 MB), or set "
            "SEDI_CACHE_DIR to another folder."
        ) from error
    return lib


def _run_maven(target: Path, progress: Progress | None) -> None:
    maven = find_maven()
    if maven is None:
        raise BrokerError(
            f"Kafka {KAFKA_VERSION} has to be fetched once with Maven, which is not on PATH. Install it "
            f"(`apt-get install maven`, `brew install maven`), {_OTHER_CLUSTER}."
        )
    java = find_java()
    if progress is not None:
        progress(f"Fetching Kafka {KAFKA_VERSION} with Maven (44 MB, once)")
    command: list[str | Path] = [
        maven,
        "-q",
        "-B",
        "-f",
        FILES / "pom.xml",
        "dependency:copy-dependencies",
        f"-DoutputDirectory={target}",
        "-DincludeScope=runtime",
    ]
    try:
        # Maven looks for Java in JAVA_HOME and on PATH only; ours may come from the wheel.
        done = run_program(command, {**os.environ, "JAVA_HOME": str(java.home)}, _FETCH_S, target.parent)
    except subprocess.TimeoutExpired:
        raise BrokerError(
            f"Maven had not fetched Kafka {KAFKA_VERSION} after {_FETCH_S:.0f} s. Check the network and Maven's "
            f"settings.xml (mirror, proxy) and try again, {_OTHER_CLUSTER}."
        ) from None
    if done.returncode != 0:
        # A mirror's URL may have a user and a password.
        output = re.sub(r"://[^/\s@]+@", "://", done.stdout)
        lines = [line for line in output.splitlines() if line.strip()]
        shown = "\n  ".join([line for line in lines if "ERROR" in line][:4] or lines[-4:])
        raise BrokerError(
            f"Maven could not fetch Kafka {KAFKA_VERSION} (exit {done.returncode}). Check the network and Maven's "
            f"settings.xml (mirror, proxy) and try again, {_OTHER_CLUSTER}. Maven said:\n  {shown}"
        )


def _verify(folder: Path) -> None:
    for name, expected in digests().items():
        try:
            found = sha256_of(folder / name)
        except FileNotFoundError:
            found = "missing"
        if found != expected:
            raise BrokerError(
                f"The Kafka jar {name} is not the expected one (sha256 {expected[:12]}…, found {found[:12]}). Remove "
                f"the copy in Maven's local repository (~/.m2/repository) and try again; if it happens again, do not "
                "trust the mirror it comes from."
            )
