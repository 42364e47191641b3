"""With a read-only home, or none and as nobody, as in a container or a service, commands work without warnings."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local_broker.temporary_broker import TemporaryBroker, free_port
from infra.settings import environment_of
from tests.golden import HERE
from tests.unit.trainer.tiny import save_tiny

ROOT = Path(__file__).resolve().parents[3]
FRIGHTENING = re.compile(r"warn|error|traceback|fail|denied|cannot|not writable|errno", re.IGNORECASE)
NOBODY = 65534
CACHES = ("XDG_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "MPL", "TRITON_", "TORCH", "DS_", "NUMBA_", "SEDI_")


@dataclass(frozen=True)
class Homeless:
    """Runs `sedi` in `folder`, its only writable one besides the temporary folder, without root's privilege to write
    everywhere, or as another user.

    prefix        what runs the command as such a user
    environment   settings besides
    """

    folder: Path
    home: Path
    prefix: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def sedi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(CACHES)}
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", "sedi", *arguments],
            cwd=self.folder,
            env=kept
            | {"HOME": str(self.home), "SEDI_CACHE_DIR": str(self.home / "cache"), "PYTHONPATH": str(ROOT)}
            | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def done(self, *arguments: str) -> str:
        """The output of a command, which must end with 0 and without warnings."""
        found = self.sedi(*arguments)
        assert found.returncode == 0, found.stderr[-3000:]
        assert not [line for line in found.stderr.splitlines() if FRIGHTENING.search(line)], found.stderr[-3000:]
        return found.stdout


def unprivileged(*options: str) -> tuple[str, ...]:
    """The prefix of a command that makes folder modes apply to root too. `options`: what setpriv does besides."""
    if os.geteuid() != 0:
        return ()
    if (tool := shutil.which("setpriv")) is None:
        pytest.skip("root may write everywhere, and there is no setpriv (util-linux) to take that away")
    return (tool, "--bounding-set=-dac_override", *options, "--")


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    touched = subprocess.run([*unprivileged(), "touch", home / "x"], capture_output=True, timeout=10, check=False)
    assert touched.returncode != 0
    return home


def test_help_the_doctor_and_a_what_if_need_no_home(read_only: Path, tmp_path: Path) -> None:
    homeless = Homeless(tmp_path, read_only, unprivileged())
    assert "Usage" in homeless.done("--help")
    found = homeless.sedi("doctor", "--json", "--bootstrap-servers", f"127.0.0.1:{free_port()}")
    assert (found.returncode, "Traceback" in found.stderr) == (0, False), found.stdout + found.stderr
    assert all(check["ok"] for check in json.loads(found.stdout))
    homeless.done("replay", "--from-files", str(HERE / "undisturbed"), "--set", "threshold=0.8", "--plot", "plot.svg")
    assert (homeless.folder / "plot.svg").is_file()


@pytest.mark.parametrize("home", [".", "none"], ids=["read-only", "missing"])
def test_a_model_is_trained_and_talked_to_without_a_home(read_only: Path, tmp_path: Path, home: str) -> None:
    homeless = Homeless(tmp_path, read_only / home, unprivileged())
    rows = homeless.folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"instruction": f"Say {n}", "output": str(n)}) + "\n" for n in range(8)))
    trainee = save_tiny(homeless.folder / "tiny")

    homeless.done(
        "train",
        "--offline",
        "--data",
        str(rows),
        "--batch-size",
        "4",
        "--model",
        str(trainee),
        "--threads",
        "1",
        "--device",
        "cpu",
        "--max-length",
        "64",
        "--epochs",
        "1",
        "--precision",
        "fp32",
        "--state-dir",
        "state",
    )
    model = homeless.folder / "state" / "rows" / "model"
    assert (model / "curves.svg").is_file() and list((model.parent / "tensorboard").iterdir())
    homeless.done("chat", str(model), "--message", "Say 3", "--max-tokens", "4", "--threads", "1")


@pytest.fixture
def nobody(broker: TemporaryBroker) -> Iterator[Homeless]:
    """A user without a home, a name or rights; a user who is not root is nobody enough."""
    prefix = unprivileged(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    reads = subprocess.run(
        [*prefix, sys.executable, "-c", "import msgspec"], cwd=ROOT, capture_output=True, check=False
    )
    if reads.returncode != 0:
        pytest.skip("no other user may read this project's Python")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are in one that only its user may enter
        if prefix:
            os.chown(folder, NOBODY, NOBODY)
        settings = broker.settings.model_copy(update={"state_dir": Path(folder) / "state"})
        environment = {**environment_of(settings), "SEDI_BACKEND": "load-model", "SEDI_CACHE_DIR": "/nonexistent/cache"}
        yield Homeless(Path(folder), Path("/nonexistent"), prefix, environment)


def test_a_run_is_started_seen_and_exported_by_nobody(nobody: Homeless, run: str) -> None:
    nobody.done("run", "--run", run, "--no-trainer", "--max-candidates", "40", "--time-limit", "60")
    status = json.loads(nobody.done("status", "--run", run, "--json"))
    assert status["generated"] > 0 and status["kept"] + sum(status["rejected"].values()) == status["generated"]
    nobody.done("export", "data", "--run", run)
    assert (nobody.folder / "data" / "README.md").stat().st_uid == (NOBODY if nobody.prefix else os.geteuid())
