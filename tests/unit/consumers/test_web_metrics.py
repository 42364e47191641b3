"""The page's server answers for its metrics and health, behind its guard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from consumers.web.server import PageServer
from infra.metrics.declared import WEB
from infra.observed import observed
from infra.settings import load
from tests.harness.page_server import serving

TOKEN = "0123456789abcdef"


@contextmanager
def served(folder: Path, token: str | None = None) -> Iterator[str]:
    with observed(load(state_dir=folder), "", WEB, own_server=False, needs_cluster=False):
        server = PageServer({}, host="127.0.0.1", port=0, token=token, explain=lambda source, id: None)  # type: ignore[arg-type,return-value]
        with serving(server) as address:
            yield address


def get(address: str, **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(address, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, ""


def test_metrics_and_health_are_paths_of_the_page_and_count_its_requests(tmp_path: Path) -> None:
    with served(tmp_path) as address:
        assert get(f"{address}healthz") == (200, "the main loop turns\n")
        assert get(f"{address}readyz") == (200, "it shows the runs\n")
        assert get(f"{address}nothing")[0] == 404
        text = get(f"{address}metrics")[1]
        assert 'sedi_web_requests_total{component="web",run="",status="2xx"} 2.0' in text
        assert 'sedi_web_requests_total{component="web",run="",status="4xx"} 1.0' in text
        assert get(f"{address}metrics", Host="elsewhere.example")[0] == 421


def test_with_a_token_prometheus_needs_it_too(tmp_path: Path) -> None:
    with served(tmp_path, TOKEN) as address:
        assert get(f"{address}metrics")[0] == 401
        assert get(f"{address}metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
