"""A cluster with TLS, logins and ACLs: it works with the right settings, and each wrong one has its own sentence."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from infra.cluster.admin import administrator
from infra.cluster.connection import ssl_context
from infra.cluster.health import cluster_health
from infra.cluster.topics import apply
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.machine.doctor import _cluster
from infra.machine.supervisor import Supervisor
from infra.settings import Settings, environment_of
from schemas.errors import BrokerError, ClusterRefused, ConfigurationError
from schemas.policy import Policy
from sedi.main import main
from sedi.options import ExitCode
from streams.core import decider
from tests.e2e.driver import Terminal
from tests.harness.groups import commit_place
from tests.harness.secured_broker import SecuredBroker, secured_broker
from tests.integration.worker.driver import Rig, generation, seeds

RUN = "secured"
TOPICS = f"sedi.{RUN}."
POLICY = Policy(clusters=4, batch_size=4)


@pytest.fixture(scope="module")
def cluster(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """With a run on it. `owner` has exactly the rights in docs/operations.md, `loner` those without groups; `reader`
    may read, `watcher` only describe, `nobody` nothing."""
    with secured_broker(settings, tmp_path_factory.mktemp("tls")) as made:
        made.add_users("owner", "reader", "watcher", "nobody", "loner")
        made.allow("owner", "READ", "WRITE", "CREATE", "DESCRIBE_CONFIGS", topics=TOPICS)
        made.allow("owner", "READ", groups=TOPICS)
        made.allow("loner", "ALL", topics=TOPICS)
        made.allow("reader", "READ", "DESCRIBE_CONFIGS", topics=TOPICS)
        made.allow("watcher", "DESCRIBE", topics=TOPICS)
        classifier = decider.first_classifier(POLICY, seeds())
        assert configure_run(made.settings("owner"), RUN, POLICY, seeds(), versions={}, classifier=classifier)
        yield made


def test_a_run_works_from_end_to_end_over_ipv6_too(cluster: SecuredBroker, tmp_path: Path) -> None:
    terminal = Terminal(cluster.settings("owner", state_dir=tmp_path, bootstrap_servers=cluster.ipv6), tmp_path)

    done = terminal.sedi(
        "run", "--run", RUN, "--no-trainer", "--max-candidates", "20", "--time-limit", "60", SEDI_BACKEND="load-model"
    )

    assert done.returncode == ExitCode.OK, done.stderr[-3000:]
    kept = terminal.sedi("tail", "--run", RUN, "--until-end", "--topic", "kept", "--json").stdout.splitlines()
    assert kept
    assert terminal.json("replay", "--run", RUN)["divergences"] == 0


def test_a_client_certificate_is_enough_to_write_read_and_decide(cluster: SecuredBroker, tmp_path: Path) -> None:
    settings = cluster.certified_settings("owner", state_dir=tmp_path)
    rig = Rig(settings, RUN, POLICY, tmp_path)

    try:
        rig.start_worker()
        with rig.writer() as writer:
            written = writer.write(generation(0, seeds(), lane="certified"), key="certified", id=str(uuid4()))
        rig.wait_decided(written.offset, timeout_s=60)
    finally:
        rig.stop_workers()
    with closing(KafkaSource(settings, RUN).open(["generated"])) as source:
        assert list(source.rest())[-1].offset == written.offset


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "password": (
        {"sasl_password": SecretStr("not-it")},
        r"refuses the login of user 'owner' \(SCRAM-SHA-512\): user or password is wrong.*SEDI_SASL_PASSWORD",
    ),
    "mechanism": ({"sasl_mechanism": "PLAIN"}, "does not accept the SASL mechanism PLAIN. Set SEDI_SASL_MECHANISM"),
    "authority": ({"tls_ca_file": "another"}, r"not trusted by SEDI_TLS_CA_FILE \(.*another.crt\): self-signed"),
    "plain text": (
        {"security_protocol": "PLAINTEXT"},
        "speaks SASL_SSL, and SEDI_SECURITY_PROTOCOL is PLAINTEXT. Set SEDI_SECURITY_PROTOCOL=SASL_SSL",
    ),
    "no login": ({"security_protocol": "SSL"}, "speaks SASL_SSL, and SEDI_SECURITY_PROTOCOL is SSL"),
    "name": ({"bootstrap_servers": "localhost"}, "is of another name: Hostname mismatch.*valid for 'localhost'"),
    "TLS to plain text": ({"bootstrap_servers": "plain"}, "speaks PLAINTEXT, and SEDI_SECURITY_PROTOCOL is SASL_SSL"),
}


def wrong(cluster: SecuredBroker, changes: dict[str, Any]) -> Settings:
    places = {
        "another": cluster.stranger,
        "localhost": cluster.address.replace("127.0.0.1", "localhost"),
        "plain": cluster.plain.bootstrap,
    }
    return cluster.settings("owner", **{k: places.get(v, v) if isinstance(v, str) else v for k, v in changes.items()})


@pytest.mark.parametrize("name", WRONG)
def test_what_keeps_us_out_is_said_at_once(cluster: SecuredBroker, name: str) -> None:
    changes, sentence = WRONG[name]
    settings = wrong(cluster, changes)
    ways: list[Callable[[], object]] = [lambda: cluster_health(settings)]
    if name in ("password", "authority"):
        ways += [
            lambda: LogReader(settings, RUN, ["run"]),
            lambda: LogWriter(settings, RUN, "test"),
            lambda: KafkaSource(settings, RUN).open(["run"]),
        ]
    for way in ways:
        began = time.monotonic()
        with pytest.raises(ClusterRefused, match=sentence) as caught:
            way()
        assert time.monotonic() - began < 10
        assert "broker start" not in str(caught.value) and "not-it" not in str(caught.value)


OF_ANOTHER = r"rejects the certificate .*another\.crt\. Set SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE to one that its"
NOT_SHOWN = {"tls_cert_file": None, "tls_key_file": None}
UNCERTIFIED: dict[str, tuple[dict[str, Any], str]] = {
    "none": (NOT_SHOWN, "requires a client certificate. Set SEDI_TLS_CERT_FILE and SEDI_TLS_KEY_FILE"),
    "of another authority": ({"tls_cert_file": "another.crt", "tls_key_file": "another.key"}, OF_ANOTHER),
    "plain text": (
        {"security_protocol": "PLAINTEXT"},
        "speaks TLS and requires a client certificate, and SEDI_SECURITY_PROTOCOL is PLAINTEXT. Set .* to SSL",
    ),
    "a login too": (
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "sasl_username": "u",
            "sasl_password": SecretStr("not-it"),
        },
        "speaks SSL, and SEDI_SECURITY_PROTOCOL is SASL_SSL",
    ),
}


def uncertified(cluster: SecuredBroker, name: str, **further: object) -> Settings:
    changes = {k: cluster.ca.with_name(v) if k.endswith("file") and v else v for k, v in UNCERTIFIED[name][0].items()}
    return cluster.certified_settings("owner", **changes, **further)


@pytest.mark.parametrize("name", UNCERTIFIED)
def test_a_cluster_that_wants_a_certificate_says_so_at_once(cluster: SecuredBroker, name: str) -> None:
    settings = uncertified(cluster, name)
    ways: list[Callable[[], object]] = [lambda: cluster_health(settings)]
    if name == "none":
        ways += [lambda: LogWriter(settings, RUN, "test"), lambda: KafkaSource(settings, RUN).open(["run"])]
    for way in ways:
        began = time.monotonic()
        with pytest.raises(ClusterRefused, match=UNCERTIFIED[name][1]):
            way()
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", ["none", "of another authority"])
def test_a_worker_without_a_good_certificate_ends_with_4(cluster: SecuredBroker, tmp_path: Path, name: str) -> None:
    done = run(uncertified(cluster, name, state_dir=tmp_path), tmp_path, "worker", "--run", RUN)

    assert done.returncode == ExitCode.REFUSED, done.stderr[-3000:]
    assert re.search(UNCERTIFIED[name][1], done.stderr) and len(done.stderr.splitlines()) == 1


def test_a_run_whose_certificate_is_refused_starts_nothing_again(cluster: SecuredBroker, tmp_path: Path) -> None:
    settings = uncertified(cluster, "of another authority", state_dir=tmp_path)
    children = Supervisor(settings, tmp_path)

    children.start("worker", ["worker", "--run", RUN])
    try:
        code = children.children["worker"].process.wait(60)
        assert (code, children.refused("worker")) == (ExitCode.REFUSED, True)
    finally:
        children.kill()
    done = run(settings, tmp_path, "run", "--run", RUN, "--no-trainer", "--max-candidates", "1")
    assert done.returncode == ExitCode.REFUSED and re.search(OF_ANOTHER, done.stderr.splitlines()[-1])


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no password": (
        {"tls_key_password": None},
        r"SEDI_TLS_KEY_FILE \(.*owner\.key\) is encrypted\. Set SEDI_TLS_KEY_PAS",
    ),
    "wrong password": (
        {"tls_key_password": SecretStr("not-it")},
        r"SEDI_TLS_KEY_PASSWORD is not the password of the key",
    ),
    "no certificate": ({"tls_cert_file": None}, "SEDI_TLS_KEY_FILE is set and SEDI_TLS_CERT_FILE is not. Set both"),
    "no key": (
        {"tls_key_file": None},
        r"SEDI_TLS_CERT_FILE .* does not hold a certificate with its key.*Set SEDI_TLS_KEY_FILE",
    ),
    "missing certificate": ({"tls_cert_file": "none"}, r"SEDI_TLS_CERT_FILE \(.*none\) cannot be read: No such file"),
    "missing key": ({"tls_key_file": "none"}, r"SEDI_TLS_KEY_FILE \(.*none\) cannot be read: No such file"),
    "unreadable key": ({"tls_key_file": "."}, r"SEDI_TLS_KEY_FILE \(.*\) cannot be read: Is a directory"),
    "no PEM": ({"tls_key_file": "owner.txt"}, r"SEDI_TLS_KEY_FILE \(.*owner\.txt\) are not a certificate and its key"),
    "another's key": ({"tls_key_file": "another.key"}, r"another\.key\) does not match the certificate .*owner\.crt"),
    "missing authority": ({"tls_ca_file": "none"}, r"SEDI_TLS_CA_FILE \(.*none\) cannot be used: No such file"),
    "no authority": ({"tls_ca_file": "owner.txt"}, r"SEDI_TLS_CA_FILE \(.*owner\.txt\) cannot be used: .*Name a file"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_tls_files_that_cannot_be_used_are_named(cluster: SecuredBroker, name: str) -> None:
    changes, sentence = UNUSABLE[name]
    cluster.ca.with_name("owner.txt").write_text("no PEM")
    places = {k: cluster.ca.parent / v if isinstance(v, str) else v for k, v in changes.items()}
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        ssl_context(cluster.certified_settings("owner", **places))
    assert "not-it" not in str(caught.value)


def test_a_wrong_key_password_ends_a_command_with_2_and_asks_nobody(cluster: SecuredBroker, tmp_path: Path) -> None:
    settings = cluster.certified_settings("owner", state_dir=tmp_path, tls_key_password=None)
    done = run(settings, tmp_path, "status", "--run", RUN)

    assert done.returncode == ExitCode.USAGE
    assert "is encrypted. Set SEDI_TLS_KEY_PASSWORD" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_missing_right_is_named_and_a_hidden_topic_is_not_called_absent(cluster: SecuredBroker) -> None:
    nobody, watcher, reader = (cluster.settings(user) for user in ("nobody", "watcher", "reader"))

    hidden = rf"'nobody' has no right to Describe on topic {TOPICS}run, so the cluster hides whether it exists"
    for way in (lambda: LogReader(nobody, RUN, ["run"]), lambda: KafkaSource(nobody, RUN).open(["run"])):
        with pytest.raises(ClusterRefused, match=hidden):
            way()
    with (
        LogReader(watcher, RUN, ["run"]) as log,
        pytest.raises(ClusterRefused, match=f"'watcher' has no right to Read on topic {TOPICS}run at"),
    ):
        list(log.read_to_end())
    with (
        KafkaSource(watcher, RUN).open(["run"]) as source,
        pytest.raises(ClusterRefused, match=f"'watcher' has no right to Read on topic {TOPICS}run at"),
    ):
        list(source.rest())
    with (
        LogWriter(reader, RUN, "test") as writer,
        pytest.raises(ClusterRefused, match=f"'reader' has no right to Write on topic {TOPICS}generated at"),
    ):
        writer.write(generation(0, seeds()), key="g0", id="00000000-0000-5000-8000-000000000000")
    with (
        LogReader(reader, RUN, ["run"], group=f"{TOPICS}x") as log,
        pytest.raises(ClusterRefused, match=f"'reader' has no right to Read on group {TOPICS}x at"),
    ):
        log.poll()
        log.commit()


@pytest.mark.parametrize(
    ("user", "command", "sentence"),
    [
        ("nobody", "tail --until-end", f"no right to Describe on topic {TOPICS}"),
        ("watcher", "tail --until-end", f"no right to Read on topic {TOPICS}"),
        ("reader", "worker", "'reader' has no right to "),
        ("loner", "worker", f"'loner' has no right to Read on group {TOPICS}worker"),
    ],
    ids=["hidden", "read", "write", "group"],
)
def test_a_command_without_a_right_says_which_and_ends_with_4(
    cluster: SecuredBroker, tmp_path: Path, user: str, command: str, sentence: str
) -> None:
    done = run(cluster.settings(user, state_dir=tmp_path), tmp_path, *command.split(), "--run", RUN)

    assert done.returncode == ExitCode.REFUSED, done.stderr[-3000:]
    assert sentence in done.stderr.splitlines()[-1]


def test_a_wrong_password_ends_a_run_with_4_and_the_doctor_says_so_too(cluster: SecuredBroker, tmp_path: Path) -> None:
    settings = cluster.settings("owner", state_dir=tmp_path, sasl_password=SecretStr("not-it"))

    started = run(settings, tmp_path, "run", "--run", RUN, "--no-trainer", "--max-candidates", "1")
    seen = _cluster(settings)

    assert started.returncode == ExitCode.REFUSED
    assert started.stderr.splitlines()[-1].startswith("sedi: The Kafka cluster") and "Traceback" not in started.stderr
    assert seen.level == "fail" and "refuses the login of user 'owner'" in (seen.remedy or "")


def test_a_run_is_deleted_only_with_the_right_to_delete_all_of_it(
    cluster: SecuredBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = "sedi.gone."
    cluster.add_users("remover")
    cluster.allow("remover", "READ", "DELETE", topics=prefix)
    cluster.allow("remover", "READ", groups=prefix)
    apply(cluster.plain.settings, "gone", 4)
    commit_place(cluster.plain.settings, f"{prefix}worker", f"{prefix}generated")

    def runs(user: str, *arguments: str) -> tuple[int, str, str]:
        for name, value in environment_of(cluster.settings(user, state_dir=tmp_path)).items():
            monkeypatch.setenv(name, value)
        code = main(["runs", *arguments])
        return code, *capsys.readouterr()

    def topics(run: str) -> int:
        with administrator(cluster.plain.settings) as admin:
            return sum(1 for name in admin.list_topics() if name.startswith(f"sedi.{run}."))

    before = topics(RUN), topics("gone")
    code, _, error = runs("owner", "delete", RUN, "--yes", "--force")
    assert code == ExitCode.REFUSED and f"'owner' has no right to Delete on topic {TOPICS}answered" in error
    assert "Nothing was deleted" in error
    code, _, error = runs("owner", "delete", "gone", "--yes")
    assert code == ExitCode.REFUSED and "so the cluster hides whether it exists" in error
    code, _, error = runs("remover", "delete", "gone", "--yes")
    assert code == ExitCode.REFUSED, error
    assert f"'remover' has no right to Delete on group {prefix}worker at" in error
    assert (topics(RUN), topics("gone")) == before
    listed = json.loads(runs("remover", "list", "--json")[1])
    assert [(run["run"], run["bytes"], run["missing"]) for run in listed] == [("gone", None, [])]

    cluster.allow("remover", "DELETE", groups=prefix)
    assert runs("remover", "delete", "gone", "--yes")[0] == ExitCode.OK
    assert (topics(RUN), topics("gone")) == (before[0], 0)


def test_of_a_cluster_that_is_away_it_is_said_how_to_reach_it_and_not_how_to_start_ours(cluster: SecuredBroker) -> None:
    with pytest.raises(BrokerError, match=r"Nothing listens at .*that this machine reaches them") as caught:
        cluster_health(cluster.settings("owner", bootstrap_servers="127.0.0.1:1"))
    assert not isinstance(caught.value, ClusterRefused) and "broker start" not in str(caught.value)


def run(settings: Settings, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return Terminal(settings, folder).sedi(*arguments, timeout_s=60)
