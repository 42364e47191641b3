"""A local broker's folder: data, cluster id, configuration, logs, pid file.

The data folder is formatted once, under a temporary name until complete. The cluster id is stored in it and beside it:
a swapped or lost data folder is an error, never a new empty log.
"""

import base64
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from logging.handlers import RotatingFileHandler
from pathlib import Path
from string import Template

from infra.local_broker.jars import FILES, Progress
from infra.local_broker.java import Java
from infra.machine.processes import ProcessMark, run_program
from infra.settings import Settings
from schemas.errors import BrokerError

_FORMAT_S = 60.0
_OLD_LOGS = 5  # as in log4j2.properties


class BrokerHome:
    """The paths of a broker's files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.cluster_id = root / "cluster-id"
        self.log = root / "logs" / "broker.log"
        self.console = root / "logs" / "console.log"
        self.pid = root / "broker.pid"
        self.lock = root / "lock"
        self.tmp = root / "tmp"


def home(settings: Settings) -> BrokerHome:
    """The home of the broker of these settings."""
    return BrokerHome(settings.state_dir.expanduser().resolve() / "broker")


def java_command(java: Java, lib: Path, place: BrokerHome) -> list[str]:
    """The command of a Kafka program, to which its main class and arguments are appended."""
    return [
        str(java.executable),
        "-cp",
        f"{lib}/*",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={place.tmp}",
        f"-Dsedi.broker.log={place.log}",
        f"-Dlog4j2.configurationFile={(FILES / 'log4j2.properties').as_uri()}",
    ]


def java_environment() -> dict[str, str]:
    """This environment, with a locale in which Java can write any file name."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def ensure_formatted(place: BrokerHome, java: Java, lib: Path, port: int, report: Progress) -> None:
    """Format the data folder at the first start; later, check that it is the same one."""
    expected, found = read(place.cluster_id), _cluster_of(place.data)
    unfinished = place.root / "data.formatting"
    if expected is None and not place.data.exists():
        report("Formatting the broker's data folder")
        shutil.rmtree(unfinished, ignore_errors=True)
        _format(place, unfinished, java, lib, port)
        expected = _cluster_of(unfinished) or ""
        replace(place.cluster_id, expected)
    if expected is not None and not place.data.exists() and _cluster_of(unfinished) == expected:
        unfinished.rename(place.data)
        return
    if expected is None:
        raise BrokerError(
            f"{place.data} exists, but {place.cluster_id}, which holds its cluster id, does not. Restore that file, "
            f"or, to begin with an empty log, remove {place.root}."
        )
    if found != expected:
        holds = "is missing or not formatted" if found is None else f"belongs to cluster {found}"
        raise BrokerError(
            f"The data folder {place.data} {holds}, but this broker's cluster is {expected}. Put the right folder "
            f"back, or, to begin with an empty log, remove {place.root}."
        )


def _format(place: BrokerHome, data: Path, java: Java, lib: Path, port: int) -> None:
    # A fixed first character: a dash would be parsed as an option.
    cluster_id = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")[1:]
    command = [
        *java_command(java, lib, place),
        "-XX:TieredStopAtLevel=1",
        "-Xmx128m",
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        cluster_id,
        "--config",
        str(write_properties(place, data, port)),
    ]
    try:
        done = run_program(command, java_environment(), _FORMAT_S)
    except subprocess.TimeoutExpired:
        raise BrokerError(
            f"Kafka had not formatted {data} after {_FORMAT_S:.0f} s. Is the machine very busy? Try again."
        ) from None
    if done.returncode != 0:
        raise BrokerError(
            f"Kafka could not format {data} (exit {done.returncode}). Is its disk full, or read-only? Its output:\n  "
            f"{tail(done.stdout)}"
        )


def _cluster_of(data: Path) -> str | None:
    for line in (read(data / "meta.properties") or "").splitlines():
        if line.startswith("cluster.id="):
            return line.removeprefix("cluster.id=")
    return None


def write_properties(place: BrokerHome, data: Path, port: int, further: Mapping[str, str] | None = None) -> Path:
    """Fill in this broker's configuration template; returns the file.

    `further` properties override it; they may use `${port}` and `${controller_port}` as the template does.
    """
    if "," in str(data):
        raise BrokerError(
            f"state_dir {str(place.root.parent)!r} holds a comma, which Kafka reads as a separator. Set SEDI_STATE_DIR "
            "to another folder."
        )
    ours = (FILES / "server.properties").read_text(encoding="ascii")
    template = Template(ours + "".join(f"{name}={value}\n" for name, value in (further or {}).items()))
    target = place.root / "server.properties"
    replace(target, template.substitute(port=port, controller_port=port + 1, data_dir=_escaped(str(data))))
    return target


def _escaped(text: str) -> str:
    """Escaped for a Java properties file: ASCII, the rest and the backslash as UTF-16 escapes."""
    units = text.encode("utf-16-be")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    return "".join(chr(c) if 32 <= c < 127 and c != ord("\\") else f"\\u{c:04x}" for c in codes)


def write_pid(place: BrokerHome, process: ProcessMark, port: int) -> None:
    replace(place.pid, json.dumps({**asdict(process), "port": port}))


def read_pid(place: BrokerHome) -> tuple[ProcessMark, int] | None:
    """The process of the last start and its port; None when there was none. Raises BrokerError for a damaged file."""
    text = read(place.pid)
    if text is None:
        return None
    try:
        saved = json.loads(text)
        return ProcessMark(int(saved["pid"]), str(saved["started"])), int(saved["port"])
    except (ValueError, KeyError, TypeError) as error:
        raise BrokerError(
            f"The pid file {place.pid} is damaged ({error!r}). Remove it; if a broker still runs, end that first."
        ) from error


def log_tail(place: BrokerHome) -> str:
    """The end of the console output and log of the last start."""
    return tail(read(place.console) or "", read(place.log) or "")


def begin_log(place: BrokerHome) -> None:
    """Move the log of the earlier start to broker.log.1.

    Log4j's own OnStartupTriggeringPolicy compares file times with Java's idea of when it started: a broker started
    within a second of the earlier one's end went on in its log.
    """
    RotatingFileHandler(place.log, backupCount=_OLD_LOGS, delay=True).doRollover()


def tail(*texts: str, lines: int = 12) -> str:
    """The last lines of each text, without stack frames."""
    kept = [
        [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")][-lines:]
        for text in texts
    ]
    return "\n  ".join(line for part in kept for line in part) or "(nothing)"


def read(path: Path) -> str | None:
    """A file's text; None when there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def replace(path: Path, text: str) -> None:
    """Write a file atomically."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
