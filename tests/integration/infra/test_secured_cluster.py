"""A cluster with TLS, logins and ACLs: it works with the right settings, and each wrong one has its own sentence."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.doctor import _cluster
from infra.health import ask
from infra.log import LogReader, LogWriter
from infra.run import configure_run
from infra.settings import Settings
from infra.source import KafkaSource
from schemas.errors import BrokerError, ClusterRefused
from schemas.policy import Policy
from sedi.options import ExitCode
from streams.core import decider
from tests.e2e.driver import Terminal
from tests.harness.secured_broker import SecuredBroker, secured_broker
from tests.integration.worker.driver import generation, seeds

RUN = "secured"
TOPICS = f"sedi.{RUN}."


@pytest.fixture(scope="module")
def cluster(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """With a run on it. `owner` has just the rights that the README names, `loner` none of them on groups; `reader` may
    read, `watcher` only see, `nobody` nothing."""
    with secured_broker(settings, tmp_path_factory.mktemp("tls")) as made:
        made.add_users("owner", "reader", "watcher", "nobody", "loner")
        made.allow("owner", "READ", "WRITE", "CREATE", "DESCRIBE_CONFIGS", topics=TOPICS)
        made.allow("owner", "READ", groups=TOPICS)
        made.allow("loner", "ALL", topics=TOPICS)
        made.allow("reader", "READ", "DESCRIBE_CONFIGS", topics=TOPICS)
        made.allow("watcher", "DESCRIBE", topics=TOPICS)
        policy = Policy(clusters=4, batch_size=4)
        classifier = decider.first_classifier(policy, seeds())
        assert configure_run(made.settings("owner"), RUN, policy, seeds(), versions={}, classifier=classifier)
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


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "password": (
        {"sasl_password": SecretStr("not-it")},
        r"refuses the login of user 'owner' \(SCRAM-SHA-512\): user or password is wrong.*SEDI_SASL_PASSWORD",
    ),
    "mechanism": ({"sasl_mechanism": "PLAIN"}, "does not take the login mechanism PLAIN. Set SEDI_SASL_MECHANISM"),
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
    ways: list[Callable[[], object]] = [lambda: ask(settings)]
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


def test_a_missing_right_is_named_and_a_hidden_topic_is_not_called_absent(cluster: SecuredBroker) -> None:
    nobody, watcher, reader = (cluster.settings(user) for user in ("nobody", "watcher", "reader"))

    hidden = rf"'nobody' has no right to Describe on topic {TOPICS}run, and .* hides whether it is there"
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


def test_of_a_cluster_that_is_away_it_is_said_how_to_reach_it_and_not_how_to_start_ours(cluster: SecuredBroker) -> None:
    with pytest.raises(BrokerError, match=r"Nothing listens at .*that this machine reaches them") as caught:
        ask(cluster.settings("owner", bootstrap_servers="127.0.0.1:1"))
    assert not isinstance(caught.value, ClusterRefused) and "broker start" not in str(caught.value)


def run(settings: Settings, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return Terminal(settings, folder).sedi(*arguments, timeout_s=60)
