"""The wheel, with the core's packages only, in an empty environment: it reads runs from an empty folder, beside folders
named as its own packages, and its types hold for somebody else's program. `make wheel-test` builds the wheel."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.cluster.topics import apply
from infra.distribution import PARTS
from infra.local_broker.temporary_broker import TemporaryBroker
from infra.log.writer import LogWriter
from tests.golden import HERE
from tests.unit.consumers.story import short_run

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ARCHIVE = str(HERE / "undisturbed")
SECONDS = 1.0
READERS = [
    ("replay", "--from-files", ARCHIVE),
    ("replay", "--from-files", ARCHIVE, "--reference", "5"),
    ("tail", "--from-files", ARCHIVE, "--topic", "kept"),
    ("export", "data", "--from-files", ARCHIVE, "--format", "alpaca", "--format", "parquet"),
    ("report", "--from-files", ARCHIVE, "--json"),
    ("explain", "s1", "--from-files", ARCHIVE),
]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment that the wheel was installed into, without any part, at the pinned versions."""
    (wheel,) = (ROOT / "build" / "wheel").glob("*.whl")
    folder = tmp_path_factory.mktemp("installed") / "env"
    uv = str(BIN / "uv")
    began = time.monotonic()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, timeout=60)
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "--no-config"]
    subprocess.run([*install, "--constraint", str(ROOT / "requirements.txt"), str(wheel)], check=True, timeout=300)
    size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"installed in {time.monotonic() - began:.1f} s, {size / 1e6:.0f} MB")  # noqa: T201 - for pytest -s
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Where the user stands."""
    return tmp_path


def run(environment: Path, *command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A program of the environment, with nothing of this checkout in its way."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SEDI_"))}
    program, *arguments = command
    began = time.monotonic()
    done = subprocess.run(
        [str(environment / "bin" / program), *arguments],
        cwd=folder,
        env={**inherited, "SEDI_STATE_DIR": str(folder / "var"), **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    print(f"{time.monotonic() - began:5.2f} s  {' '.join(command)[:70]}")  # noqa: T201 - for pytest -s
    return done


def test_no_package_of_a_part_is_there(environment: Path, empty: Path) -> None:
    modules = sorted({module for part in PARTS.values() for module in part})
    code = f"from importlib.util import find_spec; print([name for name in {modules} if find_spec(name)])"
    assert run(environment, "python", "-c", code, folder=empty).stdout.strip() == "[]"


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_it_reads_an_archive_in_an_empty_folder(environment: Path, empty: Path, command: tuple[str, ...]) -> None:
    done = run(environment, "sedi", *command, folder=empty)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("start", [("sedi",), ("python", "-m", "sedi")], ids=" ".join)
def test_it_runs_beside_folders_named_as_its_own(environment: Path, empty: Path, start: tuple[str, ...]) -> None:
    for name in ("schemas", "streams", "producers", "consumers", "infra"):
        (empty / name).mkdir()
        (empty / name / "__init__.py").write_text("raise SystemExit('the folder beside was imported')\n")
    for command in READERS:
        done = run(environment, *start, *command, folder=empty)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(empty / "data", ignore_errors=True)
    # An audit that is large enough is shared between processes.
    code = "from consumers.replay import parallel as p; p._WORTH_SHARING = p._START = 1; import sedi, sys\n"
    code += "if __name__ == '__main__': print(sedi.open(archive=sys.argv[1]).replay(jobs=2).divergences)"
    (empty / "script.py").write_text(code)
    done = run(environment, "python", "-P", "script.py", ARCHIVE, folder=empty)
    assert done.stdout.strip() == "0", done.stderr


def test_it_reads_a_run_on_a_cluster(environment: Path, empty: Path, broker: TemporaryBroker) -> None:
    story = short_run("installed")
    apply(broker.settings, story.run, story.batch_size)
    with LogWriter(broker.settings, story.run, "test") as log:
        story.write(log)
    where = {"SEDI_BOOTSTRAP_SERVERS": broker.bootstrap}
    for command in (("report",), ("tail", "--until-end"), ("explain", "seed-1"), ("export", "data"), ("seeds", "list")):
        done = run(environment, "sedi", *command, "--run", story.run, folder=empty, **where)
        assert done.returncode == 0, done.stderr


def test_what_it_lacks_it_names(environment: Path, empty: Path) -> None:
    for command, part in (("worker", "run"), ("train", "train"), ("chat", "train"), ("run", "run")):
        done = run(environment, "sedi", command, folder=empty)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"pip install 'sedi-instruct[{part}]'" in done.stderr


def test_help_and_the_import_take_less_than_a_second(environment: Path, empty: Path) -> None:
    for command in (("sedi", "--help"), ("python", "-c", "import sedi")):
        took = []
        for _ in range(5):  # the machine may be busy with something else
            began = time.monotonic()
            assert run(environment, *command, folder=empty).returncode == 0
            took.append(time.monotonic() - began)
        assert min(took) < SECONDS


def test_its_types_hold_for_another_program(environment: Path, empty: Path) -> None:
    (empty / "theirs.py").write_text(
        "import polars as pl\nimport sedi\n\n\n"
        "def texts(folder: str) -> list[str]:\n"
        "    with sedi.open(archive=folder) as run:\n"
        "        kept: pl.DataFrame = run.kept()\n"
        "        divergences: int = run.replay().divergences\n"
        "        story = run.explain('s1').instruction\n"
        "        reveal_type(story)\n"
        "        outcome: sedi.RunOutcome = sedi.run({'max_kept': 1})\n"
        "        number: str = outcome.report.kept\n"
        "        return [*kept['instruction'], str(divergences), number]\n"
    )
    mypy = [str(BIN / "mypy"), "--strict", "--python-executable", str(environment / "bin" / "python"), "theirs.py"]
    found = subprocess.run(mypy, cwd=empty, capture_output=True, text=True, timeout=300, check=False).stdout
    assert 'Revealed type is "consumers.explain.schema.instruction.InstructionStory | None"' in found
    assert "theirs.py:12: error: Incompatible types in assignment" in found
    assert "Found 1 error in 1 file" in found
