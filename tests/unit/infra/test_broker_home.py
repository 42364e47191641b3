"""A broker's folder on disk, and its errors; no broker runs here."""

import os
import socket
from pathlib import Path

import pytest
import yaml

from infra.install import ROOT
from infra.local_broker import broker
from infra.local_broker.broker_home import BrokerHome, ensure_formatted, home, read_pid, write_pid, write_properties
from infra.local_broker.jars import FILES, KAFKA_VERSION
from infra.local_broker.java import Java
from infra.local_broker.temporary_broker import free_port
from infra.machine.processes import ProcessMark
from infra.settings import Settings
from schemas.errors import BrokerError, ConfigurationError

NO_JAVA = Java(Path("/nowhere/java"), Path("/nowhere"), "17", 17, "PATH")


@pytest.fixture
def place(tmp_path: Path) -> BrokerHome:
    found = BrokerHome(tmp_path / "broker")
    found.root.mkdir()
    return found


def properties(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def check_format(place: BrokerHome) -> None:
    ensure_formatted(place, NO_JAVA, Path("/nowhere"), 19092, lambda _: None)


def formatted(folder: Path, cluster_id: str) -> None:
    folder.mkdir()
    (folder / "meta.properties").write_text(f"#\nversion=1\ncluster.id={cluster_id}\nnode.id=1\n")


def test_the_configuration_listens_on_this_machine_only(place: BrokerHome) -> None:
    found = properties(write_properties(place, place.data, 23456).read_text())

    assert found["listeners"] == "PLAINTEXT://127.0.0.1:23456,CONTROLLER://127.0.0.1:23457"
    assert found["log.dirs"] == str(place.data)
    assert "$" not in "".join(found.values())


def test_a_folder_with_any_letters_is_written_as_java_reads_it(place: BrokerHome) -> None:
    found = properties(write_properties(place, Path("/tmp/é 𝛉\\x"), 19092).read_text())

    assert found["log.dirs"] == "/tmp/\\u00e9 \\ud835\\udec9\\u005cx"


def test_a_folder_that_kafka_would_cut_is_refused(place: BrokerHome) -> None:
    with pytest.raises(BrokerError, match="comma"):
        write_properties(place, Path("/tmp/a,b"), 19092)


def test_the_container_has_the_settings_of_the_local_broker() -> None:
    compose = yaml.safe_load((ROOT / "infra/compose.yaml").read_text())["services"]["kafka"]
    differ = {"controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}
    wanted = {k: v for k, v in properties((FILES / "server.properties").read_text()).items() if k not in differ}

    found = {name: compose["environment"].get(f"KAFKA_{name.upper().replace('.', '_')}") for name in wanted}

    assert found == wanted
    assert compose["image"].endswith(f":{KAFKA_VERSION}")
    assert all(port.startswith("127.0.0.1:") for port in compose["ports"])


def test_data_of_the_same_cluster_is_accepted(place: BrokerHome) -> None:
    place.cluster_id.write_text("k1")
    formatted(place.data, "k1")

    check_format(place)


def test_data_of_another_cluster_is_refused(place: BrokerHome) -> None:
    place.cluster_id.write_text("k1")
    formatted(place.data, "k2")

    with pytest.raises(BrokerError, match="belongs to cluster k2, but this broker's cluster is k1"):
        check_format(place)


def test_data_that_was_lost_is_an_error_and_not_an_empty_log(place: BrokerHome) -> None:
    place.cluster_id.write_text("k1")

    with pytest.raises(BrokerError, match="missing or not formatted"):
        check_format(place)


def test_data_of_which_nobody_says_whose_it_is_is_refused(place: BrokerHome) -> None:
    formatted(place.data, "k1")

    with pytest.raises(BrokerError, match="holds its cluster id"):
        check_format(place)


def test_a_format_that_was_interrupted_at_its_last_step_is_completed(place: BrokerHome) -> None:
    place.cluster_id.write_text("k1")
    formatted(place.root / "data.formatting", "k1")

    check_format(place)

    assert (place.data / "meta.properties").exists()


def test_the_pid_file_says_which_process_and_port(place: BrokerHome) -> None:
    assert read_pid(place) is None
    write_pid(place, ProcessMark(12, "boot:34"), 19092)
    assert read_pid(place) == (ProcessMark(12, "boot:34"), 19092)


@pytest.mark.parametrize("text", ["", "12", "{}", '{"pid": "x", "started": "y", "port": 1}'])
def test_a_damaged_pid_file_is_an_error_that_says_what_to_do(place: BrokerHome, text: str) -> None:
    place.pid.write_text(text)

    with pytest.raises(BrokerError, match="Remove it"):
        read_pid(place)


def test_stopping_never_touches_a_process_that_only_has_the_same_pid(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, bootstrap_servers=f"127.0.0.1:{free_port()}")
    place = home(settings)
    place.root.mkdir()
    write_pid(place, ProcessMark(os.getpid(), "an earlier boot:1"), settings.broker_port)

    assert not broker.stop(settings).running
    assert not place.pid.exists()


def test_a_port_in_use_is_an_error_that_says_by_whom(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(state_dir=tmp_path, bootstrap_servers=f"127.0.0.1:{port}")
    with (
        socket.create_server(("127.0.0.1", port + 1)),
        pytest.raises(BrokerError, match=rf"{port + 1} by .*\(pid {os.getpid()}\)"),
    ):
        broker.start(settings)
    assert broker.taken_ports(port) == []


def test_a_port_after_which_there_is_none_is_refused() -> None:
    assert broker.taken_ports(65535)[-1].startswith("65536 (no such port")


def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_ROOM_BYTES", 10**18)

    with pytest.raises(BrokerError, match=r"Make room on that disk, or set SEDI_STATE_DIR"):
        broker.start(Settings(state_dir=tmp_path, bootstrap_servers=f"127.0.0.1:{free_port()}"))


def test_a_state_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where a folder should be")

    with pytest.raises(BrokerError, match="SEDI_STATE_DIR"):
        broker.start(Settings(state_dir=tmp_path / "var"))


@pytest.mark.parametrize(
    "wrong", [{"bootstrap_servers": "kafka.example:9092"}, {"security_protocol": "SSL"}], ids=["elsewhere", "TLS"]
)
def test_only_the_local_broker_is_started(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        broker.start(Settings(state_dir=tmp_path, **wrong))  # type: ignore[arg-type]

    assert not list(tmp_path.iterdir())
