"""The doctor's findings on machines that lack something."""

import re
import socket
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from pydantic import SecretStr

from infra.local_broker.temporary_broker import free_port
from infra.machine import doctor
from infra.machine.doctor import DoctorCheck, check
from infra.models.precision import PrecisionChoice
from infra.settings import Settings


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring loads torch, which takes seconds; the last test does it."""
    choice = PrecisionChoice(
        "fp32", "bf16 is 9.0 times slower than fp32 on this processor", {"fp32": 5.0, "bf16": 45.0}
    )
    script = f"print({msgspec.json.encode(choice).decode()!r})"
    monkeypatch.setattr(doctor, "_MEASURE", (sys.executable, "-c", script))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path / "var", cache_dir=tmp_path / "cache", bootstrap_servers=f"127.0.0.1:{free_port()}"
    )


def named(checks: list[DoctorCheck], name: str) -> DoctorCheck:
    return next(found for found in checks if found.name == name)


def test_looking_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    check(settings)

    assert not list(tmp_path.iterdir())


def test_every_failure_and_warning_says_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(doctor, "_ROOM_GB", 10**9)
    monkeypatch.setattr(doctor, "_MEMORY_GB", 10**9)
    monkeypatch.setattr(doctor, "_NEEDED_WHEELS", ("no-such-wheel",))

    checks = check(settings)

    bad = {found.name: found.level for found in checks if found.level != "ok"}
    assert bad == {
        "maven": "fail",
        "kafka jars": "warn",
        "broker": "warn",
        "disk (state_dir)": "warn",
        "disk (cache_dir)": "warn",
        "memory": "warn",
        "packages": "fail",
    }
    for found in checks:
        assert (found.remedy is None) == (found.level == "ok")
        assert found.ok == (found.level != "fail")


def test_the_disk_of_the_brokers_data_is_named_as_it_is_allocated(settings: Settings) -> None:
    data = settings.state_dir / "broker" / "data" / "sedi.demo.kept-0"
    data.mkdir(parents=True)
    (data / "00000000000000000000.log").write_bytes(b"x" * 12_000_000)
    with (data / "00000000000000000000.index").open("wb") as index:
        index.truncate(10**10)  # Kafka allocates an index in advance

    found = named(check(settings), "broker data").found

    assert found.startswith("0.01 GB in ") and "sedi runs list" in found


def test_a_taken_port_is_a_failure_that_names_the_holder(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.broker_port + 1)):
        found = named(check(settings), "port")

    assert found.level == "fail"
    assert "pid" in found.found


def test_a_cluster_elsewhere_is_asked_and_no_java_is_looked_for() -> None:
    checks = check(Settings(bootstrap_servers=f"localhost:{free_port()}"))

    assert named(checks, "cluster").level == "fail"
    assert "SEDI_BOOTSTRAP_SERVERS" in (named(checks, "cluster").remedy or "")
    assert not [found for found in checks if found.name in ("java", "maven", "broker")]


def test_no_secret_is_shown(settings: Settings) -> None:
    secret = settings.model_copy(
        update={"api_key": SecretStr("hunter2"), "base_url": "https://me:hunter2@llm.invalid/v1?key=abc"}
    )

    shown = "\n".join(f"{found.found} {found.remedy}" for found in check(secret))

    assert "hunter2" not in shown
    assert "https://llm.invalid/v1?key=*** " in shown


def test_the_model_matters_only_to_whom_uses_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)

    builtin = named(check(settings), "built-in model")
    elsewhere = named(check(settings.model_copy(update={"backend": "openai"})), "built-in model")

    assert (builtin.level, elsewhere.level) == ("fail", "warn")


def test_the_precision_is_shown_with_its_reason_and_both_times(settings: Settings) -> None:
    found = named(check(settings), "precision").found
    assert found == "fp32: bf16 is 9.0 times slower than fp32 on this processor (fp32 5 ms, bf16 45 ms)"


def test_the_prices_in_use_have_an_origin_and_a_date_and_old_ones_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://api.openai.com/v1"
    own = settings.model_copy(update={"backend": "openai", "model": "gpt-4o-mini", "base_url": url})
    other = own.model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    monkeypatch.setattr(doctor, "date", SimpleNamespace(today=lambda: date(2026, 8, 1)))
    assert not [found for found in check(settings) if found.name == "prices"]
    assert "this program's table, as of 2026-07-24" in named(check(own), "prices").found
    assert (named(check(own), "prices").level, named(check(other), "prices").level) == ("ok", "warn")
    monkeypatch.setattr(doctor, "date", SimpleNamespace(today=lambda: date(2027, 8, 1)))
    assert named(check(own), "prices").level == "warn"
    broken = own.model_copy(update={"prices_file": Path("nowhere.toml")})
    assert named(check(broken), "prices").level == "fail"


@pytest.mark.parametrize("script", ["import os; os.abort()", "print('no JSON')"])
def test_a_torch_that_crashes_is_a_warning_and_ends_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(doctor, "_MEASURE", (sys.executable, "-c", script))

    found = named(check(settings), "precision")

    assert (found.level, "--precision fp32" in (found.remedy or "")) == ("warn", True)


def test_looking_measures_the_precision_and_does_not_load_torch() -> None:
    script = (
        "import sys; from infra.machine.doctor import check; from infra.settings import Settings;"
        "found = check(Settings());"
        "print(sorted({'torch', 'deepspeed', 'transformers', 'faust'} & set(sys.modules)));"
        "print([each.found for each in found if each.name == 'precision'])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)

    loaded, precision = done.stdout.splitlines()
    assert loaded == "[]"
    assert re.search(r"(fp32|bf16): .* on this processor \(fp32 \d+ ms, bf16 \d+ ms\)|computes in bf16", precision)
