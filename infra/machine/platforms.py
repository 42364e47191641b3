"""Which systems and Pythons the pinned requirements are to be had for: `make platforms`, a minute, with a registry.

For each it resolves `requirements.txt` as it stands, by its hashes, with wheels only but for the packages below. That
tells whether an installation would find all its files; whether what it installs also works, only a run there tells.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.install import PYTHONS, ROOT

PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
_MACOS = "14.0"  # the oldest that PyTorch's wheels are for
ONLY_SOURCE = ("deepspeed", "rouge-score")
"""Packages that no platform has wheels of; both build without a compiler."""
COMPILED = "faust-streaming"
"""Has no wheels for Linux on aarch64, where its source is compiled."""


def main() -> int:
    """Print a line for each; 1 when one of them lacks something."""
    worst = 0
    for platform in PLATFORMS:
        for version in (f"{major}.{minor}" for major, minor in PYTHONS):
            problem, how = _missing(platform, version, ONLY_SOURCE), "all there"
            if problem:
                problem, how = _missing(platform, version, (*ONLY_SOURCE, COMPILED)), f"all there, {COMPILED} as source"
            _say(f"{platform:24} Python {version}: {problem or how}")
            worst = max(worst, int(bool(problem)))
    return worst


def _missing(platform: str, version: str, from_source: tuple[str, ...]) -> str | None:
    """What the resolver says is not to be had; None when all is."""
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                uv,
                "pip",
                "install",
                "--dry-run",
                "--target",
                folder,
                "--python-version",
                version,
                "--python-platform",
                platform,
                "--require-hashes",
                "--only-binary",
                ":all:",
                *(word for name in from_source for word in ("--no-binary", name)),
                "-r",
                "requirements.txt",
            ],
            cwd=ROOT,
            env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": _MACOS, "DS_BUILD_OPS": "0"},
            check=False,
            capture_output=True,
            text=True,
        )
    return None if done.returncode == 0 else " ".join(done.stderr.split())


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a script for a terminal


if __name__ == "__main__":
    sys.exit(main())
