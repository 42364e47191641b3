"""Metrics: what is exposed is what is declared, and the files for Prometheus and Grafana name nothing else."""

import json
import os
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra.metrics import declared
from infra.metrics.declared import COMPONENTS, METRICS, of_component
from infra.metrics.health import Heartbeat, ProcessHealth
from infra.metrics.meters import is_metered, metered, meters
from infra.metrics.registry import PrometheusMeters
from infra.metrics.server import answers_of, served
from infra.observed import observation, observed
from infra.settings import load
from schemas.errors import ConfigurationError

OBSERVING = Path(__file__).parents[3] / "infra" / "observability"
_UNITS = ("_seconds", "_bytes", "_total", "_info", "_usd_total", "_records", "_offset")
_BARE = ("sedi_ready", "sedi_worker_active", "sedi_calls_in_flight", "sedi_calls_in_flight_limit")


def families(meters_: PrometheusMeters) -> dict[str, str]:
    """Kind by name, of our own metrics, as Prometheus reads them."""
    text = meters_.exposition()[0].decode()
    found = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("process_"):
            found[family.name + ("_total" if family.type == "counter" else "")] = family.type
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_exposes_what_is_declared_for_it_also_what_was_never_counted(component: str) -> None:
    by = PrometheusMeters("demo", component, component)
    found = families(by)
    assert "_created" not in by.exposition()[0].decode()
    assert found == {metric.name: metric.kind for metric in of_component(component)}


def test_each_metric_is_declared_once_with_a_sentence_and_named_as_prometheus_asks() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 40
    for metric in METRICS:
        assert re.fullmatch(r"sedi_[a-z0-9_]+", metric.name), metric.name
        assert metric.sentence[0].isupper() or metric.sentence.startswith("1"), metric.name
        assert metric.sentence.endswith("."), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert set(metric.components) <= set(COMPONENTS) and metric.components
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", metric.name), metric.name
        assert not set(metric.labels) & {"id", "run", "component", "generation", "seed", "row"}, metric.name


def test_counts_and_what_is_read_when_asked_are_samples_with_run_and_component() -> None:
    by = PrometheusMeters("demo", "worker-2", "worker")
    with metered(by):
        assert is_metered()
        meters().add(declared.REJECTIONS, 2, "similar")
        meters().add(declared.REJECTIONS, 1, "similar")
        meters().read(declared.APPLIED, lambda: {"generated": 41})
        meters().read(declared.LAG, lambda: {}["gone"])  # a fault of one metric leaves the others
        text = by.exposition()[0].decode()
    assert not is_metered()
    meters().add(declared.REJECTIONS, 1, "similar")  # does nothing
    assert re.search(r'sedi_worker_rejections_total\{component="worker-2",reason="similar",run="demo"\} 3\.0', text)
    assert re.search(r'sedi_worker_applied_offset\{[^}]*topic="generated"[^}]*\} 41\.0', text)
    assert "# TYPE sedi_worker_lag_records gauge" in text and "sedi_worker_lag_records{" not in text


@pytest.fixture
def clock() -> Iterator[list[float]]:
    yield [0.0]


def test_a_process_is_alive_while_its_loop_turns_and_ready_while_it_says_so_and_the_cluster_answers(
    clock: list[float],
) -> None:
    answers = [True]
    health = ProcessHealth(Heartbeat(10.0, lambda: clock[0]), lambda: answers[0], every_s=0.0)
    assert health.is_alive().good and not health.is_ready().good and health.is_ready().why == "starting"
    health.heartbeat.beat()
    health.ready("it decides")
    assert health.is_ready().good and health.is_ready().why == "it decides"
    answers[0] = False
    assert not health.is_ready().good and "cluster" in health.is_ready().why
    answers[0], clock[0] = True, 10.5
    assert not health.is_alive().good and "not turned for 10 s" in health.is_alive().why
    assert not health.is_ready().good


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_three_addresses_are_served_and_recorded_for_discovery_until_the_end(tmp_path: Path) -> None:
    health = ProcessHealth(Heartbeat(10.0))
    by = PrometheusMeters("demo", "generator-a/b", "generator")
    (tmp_path / "generator-old-999999999.json").write_text("[]")
    serving = served(answers_of(by, health), host="127.0.0.1", port=0, folder=tmp_path, name="demo-generator-a/b")
    with serving as address:
        assert get(address, "/healthz")[0] == 200
        assert get(address, "/readyz") == (503, "starting\n")
        health.ready("it is at work")
        assert get(address, "/readyz?x=1") == (200, "it is at work\n")
        assert "sedi_generations_total" in get(address, "/metrics")[1]
        assert get(address, "/")[0] == 404
        (record,) = tmp_path.iterdir()  # what the dead process left is gone
        assert record.name == f"demo-generator-a-b-{os.getpid()}.json"
        assert json.loads(record.read_text()) == [{"targets": [address]}]
    assert list(tmp_path.iterdir()) == []


def test_metrics_are_off_unless_a_port_is_named_and_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with observed(load(state_dir=tmp_path), "demo", "worker") as found:
        assert found.address is None and not is_metered() and observation() is found
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load(state_dir=tmp_path, metrics_port=taken.getsockname()[1])
        with (
            pytest.raises(ConfigurationError, match=r"cannot be served at .*Give another SEDI_METRICS_PORT"),
            observed(settings, "demo", "worker"),
        ):
            pass
    said: list[str] = []
    with observed(load(state_dir=tmp_path, metrics_port=0), "demo", "trainer", say=said.append) as found:
        assert found.address is not None and said == [f"Metrics are at http://{found.address}/metrics"]
        assert 'sedi_build_info{component="trainer",run="demo"' in get(found.address, "/metrics")[1]
    assert not is_metered() and observation() is not found


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bsedi_[a-z0-9_]+", expression))


def exposed_names() -> set[str]:
    found = {metric.name for metric in METRICS if metric.kind != "histogram"}
    for metric in METRICS:
        if metric.kind == "histogram":
            found |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return found


def test_the_alert_rules_and_the_dashboard_name_only_what_is_declared() -> None:
    rules = yaml.safe_load((OBSERVING / "alerts.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) >= 6
    for alert in alerts:
        assert alert["annotations"]["summary"].endswith(".") and alert["annotations"]["description"].endswith(".")
        assert named(alert["expr"]) and named(alert["expr"]) <= exposed_names(), alert["alert"]
    dashboard = json.loads((OBSERVING / "dashboard.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(expressions) >= 12
    for expression in expressions:
        assert named(expression) and named(expression) <= exposed_names(), expression
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("status", "host"),
    [(200, "localhost:9"), (200, "[::1]"), (200, "host.docker.internal:9"), (421, "rebound.example:9"), (421, "[bad")],
)
def test_a_website_whose_name_leads_here_reads_no_metrics(status: int, host: str, tmp_path: Path) -> None:
    answers = answers_of(PrometheusMeters("demo", "worker", "worker"), ProcessHealth(Heartbeat(10.0)))
    with served(answers, host="127.0.0.1", port=0, folder=tmp_path, name="x") as address:
        connection = HTTPConnection(address, timeout=5)
        connection.request("GET", "/metrics", headers={"Host": host})
        answer = connection.getresponse()
        assert (answer.status, b"sedi_" in answer.read()) == (status, status == 200)
        connection.close()
