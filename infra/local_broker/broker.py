"""The local broker: Apache Kafka, one KRaft node, run from jars as a separate process that outlives its starter.

Several brokers can run side by side with different `state_dir` and port. The port is that of `bootstrap_servers`; the
controller takes the next one. Both listen on 127.0.0.1 only.

Guaranteed: `start` returns after the broker has answered a Kafka request; starting a running broker and stopping a
stopped one do nothing; concurrent starts are serialised; only the process that `start` created is signalled; the
cluster id never changes. A killed broker starts again on the same data.
Not guaranteed: records of the last second after a power failure (`log.flush.interval.ms`).
"""

import contextlib
import errno
import os
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.cluster.health import cluster_health
from infra.local_broker.broker_home import (
    BrokerHome,
    begin_log,
    ensure_formatted,
    home,
    java_command,
    java_environment,
    log_tail,
    read,
    read_pid,
    write_pid,
    write_properties,
)
from infra.local_broker.jars import KAFKA_VERSION, Progress, fetch
from infra.local_broker.java import find_java
from infra.machine.processes import file_lock, find_process, port_listener, process_mark
from infra.settings import Settings
from schemas.errors import BrokerError, ConfigurationError

_ROOM_BYTES = 256 * 1024 * 1024
_ANSWER_S = 3.0


@dataclass(frozen=True)
class BrokerStatus:
    """`running`: the process is alive. `healthy`: Kafka answers at `bootstrap`, with the cluster id of the data folder.

    Without a data folder any Kafka that answers is healthy and not running, such as one in a container. `detail` is a
    sentence to show; `pid` is None when it does not run, `cluster_id` before the first start.
    """

    running: bool
    healthy: bool
    pid: int | None
    bootstrap: str
    version: str
    cluster_id: str | None
    data_dir: Path
    log_file: Path
    detail: str


def status(settings: Settings) -> BrokerStatus:
    """The status of this `state_dir`'s broker. Takes up to 3 s when it hangs."""
    place = home(settings)
    saved = read_pid(place)
    process = None if saved is None else find_process(saved[0])
    cluster_id = read(place.cluster_id)
    port = settings.broker_port if process is None or saved is None else saved[1]
    if _listens(port):  # cheaper than a Kafka request to a closed port
        healthy, detail = _health(settings, port, cluster_id, ours=process is not None)
    elif process is not None:
        healthy, detail = False, "It runs but does not listen yet."
    else:
        healthy, detail = False, "It is not running; `sedi broker start` starts it."
    return BrokerStatus(
        running=process is not None,
        healthy=healthy,
        pid=None if process is None else process.pid,
        bootstrap=f"127.0.0.1:{port}",
        version=KAFKA_VERSION,
        cluster_id=cluster_id,
        data_dir=place.data,
        log_file=place.log,
        detail=detail,
    )


def start(
    settings: Settings,
    wait_s: float = 60.0,
    progress: Progress | None = None,
    *,
    short_lived: bool = False,
    further: Mapping[str, str] | None = None,
) -> BrokerStatus:
    """Start the broker unless Kafka answers, fetching jars and formatting data if needed; returns when it answers.

    A `short_lived` one starts in half the processor time (3.0 s instead of 5.6 s) and is slower afterwards: Java's
    optimising compiler is off. `further` Kafka properties override ours.

    Raises ConfigurationError when the settings name another cluster, and BrokerError when something is missing, a port
    is taken, the disk is full, the data is another broker's, the broker dies, or it does not answer within `wait_s`
    (it is left running then, because a recovery may take longer).
    """
    _require_local(settings)
    report = progress or (lambda message: None)
    place = home(settings)
    try:
        place.log.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(place.lock):
            now = status(settings)
            if now.healthy and not now.running:
                return now
            if not now.running:
                _launch(settings, place, report, short_lived, further)
            elif now.bootstrap != f"127.0.0.1:{settings.broker_port}":
                raise BrokerError(
                    f"The broker of {settings.state_dir} already runs at {now.bootstrap} (pid {now.pid}). Stop it "
                    f"(`sedi broker stop`), or set SEDI_BOOTSTRAP_SERVERS={now.bootstrap}."
                )
            return now if now.healthy else _wait_healthy(settings, place, wait_s, report)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Make room on that disk" if full else "Make the folder writable"
        raise BrokerError(
            f"The broker's files in {place.root} cannot be written: {error}. {remedy}, or set SEDI_STATE_DIR to "
            "another folder."
        ) from error


def stop(settings: Settings, wait_s: float = 30.0) -> BrokerStatus:
    """Stop the broker with SIGTERM, and SIGKILL after `wait_s`. Keeps its data. Does nothing when it does not run."""
    place = home(settings)
    saved = read_pid(place)
    process = None if saved is None else find_process(saved[0])
    if process is not None:
        try:
            process.terminate()
            process.resume()  # a suspended process gets SIGTERM only now
            try:
                process.wait(wait_s)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(10)
        except psutil.NoSuchProcess:
            pass  # it ended by itself meanwhile
        except (psutil.AccessDenied, psutil.TimeoutExpired) as error:
            raise BrokerError(
                f"The broker (pid {process.pid}) cannot be stopped: {error}. Stop it as the user who started it."
            ) from error
    if read_pid(place) == saved:
        place.pid.unlink(missing_ok=True)
    return status(settings)


def taken_ports(port: int) -> list[str]:
    """Which of the two ports of a broker at `port` are taken, each with its process where known."""
    taken = []
    for number in (port, port + 1):
        with socket.socket() as probe:
            # As in Java: a port in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OverflowError:
                taken.append(f"{number} (no such port: they end at 65535)")
            except OSError as error:
                by = port_listener(number) or "another process" if error.errno == errno.EADDRINUSE else error.strerror
                taken.append(f"{number} by {by}")
    return taken


def _launch(
    settings: Settings, place: BrokerHome, report: Progress, short_lived: bool, further: Mapping[str, str] | None
) -> None:
    port = settings.broker_port
    if taken := taken_ports(port):
        raise BrokerError(
            f"The broker needs the ports {port} and {port + 1}; taken: {', '.join(taken)}. Stop what holds them, or "
            "choose another port with SEDI_BOOTSTRAP_SERVERS=127.0.0.1:PORT."
        )
    free = shutil.disk_usage(place.root).free
    if free < _ROOM_BYTES:
        raise OSError(errno.ENOSPC, f"{free // 2**20} MiB are free, {_ROOM_BYTES // 2**20} needed")
    java = find_java()
    lib = fetch(settings, report)
    shutil.rmtree(place.tmp, ignore_errors=True)  # a killed Java leaves its unpacked libraries there
    place.tmp.mkdir()
    ensure_formatted(place, java, lib, port, report)
    properties = write_properties(place, place.data, port, further)
    begin_log(place)
    report(f"Starting Kafka {KAFKA_VERSION} at 127.0.0.1:{port}")
    command = [
        *java_command(java, lib, place),
        f"-Xms{settings.broker_heap_mb // 2}m",
        f"-Xmx{settings.broker_heap_mb}m",
        *(["-XX:TieredStopAtLevel=1"] if short_lived else []),
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={place.console.parent}/crash.log",
        "kafka.Kafka",
        str(properties),
    ]
    console = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # Not subprocess.Popen, which expects to reap the child: this one outlives us.
    pid = os.posix_spawn(
        command[0],
        command,
        java_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(place.console), console, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
        ],
        setsid=True,
    )
    write_pid(place, process_mark(pid), port)


def _wait_healthy(settings: Settings, place: BrokerHome, wait_s: float, report: Progress) -> BrokerStatus:
    begun = time.monotonic()
    while True:
        now = status(settings)
        waited = time.monotonic() - begun
        if now.healthy:
            report(f"Kafka answers at {now.bootstrap} after {waited:.1f} s")
            return now
        if not now.running:
            raise BrokerError(
                f"The broker ended before it answered. Is memory or disk short, or its data damaged? The end of its "
                f"logs ({place.console}, {place.log}):\n  {log_tail(place)}"
            )
        if waited > wait_s:
            raise BrokerError(
                f"The broker (pid {now.pid}) runs but has not answered for {waited:.0f} s. If its log {place.log} "
                "still grows, wait and start again; otherwise stop it with `sedi broker stop` and then start it."
            )
        time.sleep(0.1)


def _health(settings: Settings, port: int, cluster_id: str | None, *, ours: bool) -> tuple[bool, str]:
    bootstrap = f"127.0.0.1:{port}"
    local = settings.model_copy(update={"bootstrap_servers": bootstrap, "security_protocol": "PLAINTEXT"})
    try:
        cluster = cluster_health(local, _ANSWER_S)
    except BrokerError:
        state = "It runs" if ours else "It is not running, something else listens at its port,"
        return False, f"{state} but Kafka does not answer there."
    if not ours and cluster_id is None:
        return bool(cluster.brokers), f"A Kafka that was not started from here answers (cluster {cluster.cluster_id})."
    if cluster.cluster_id != cluster_id:
        return False, f"Another cluster ({cluster.cluster_id}) answers at {bootstrap}; its own is {cluster_id}."
    if bootstrap not in cluster.brokers:
        return False, "It answers but does not serve clients yet."
    return True, "It runs and answers."


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _require_local(settings: Settings) -> None:
    if not settings.names_local_address:
        raise ConfigurationError(
            f"bootstrap_servers is {settings.bootstrap_servers}: that cluster is not ours to start. For the local "
            "broker, set it to 127.0.0.1 and a port, as in SEDI_BOOTSTRAP_SERVERS=127.0.0.1:19092."
        )
    if not settings.is_local:
        raise ConfigurationError(
            f"security_protocol is {settings.security_protocol}, and the local broker speaks PLAINTEXT only (it "
            "listens on 127.0.0.1). Unset SEDI_SECURITY_PROTOCOL, or name the cluster that uses it."
        )


def _inheritable() -> list[int]:
    """Open descriptors, beyond the standard ones, that a child would inherit, such as sockets of C libraries."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers, not paths
        with contextlib.suppress(OSError):  # the descriptor of the listing is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
