"""Checks which systems and Pythons the pinned requirements install on: `make platforms`, a minute, with a registry.

It resolves `requirements.txt` for each, by its hashes, with wheels only except for the packages below. That shows
whether an installation finds all its files, not whether they work there.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.install import PYTHONS, ROOT, say

PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
_MACOS = "14.0"  # the oldest that PyTorch's wheels are for
ONLY_SOURCE = ("deepspeed", "rouge-score", "sqlitedict", "word2number")
"""Packages without wheels for any platform; they build without a compiler."""
COMPILED = "faust-streaming"
"""A package without wheels for Linux on aarch64; its source is compiled there."""


def main() -> int:
    """Print a line for each; returns 1 when a package is missing for one of them."""
    worst = 0
    for platform in PLATFORMS:
        for version in (f"{major}.{minor}" for major, minor in PYTHONS):
            problem, how = _missing(platform, version, ONLY_SOURCE), "all there"
            if problem:
                problem, how = _missing(platform, version, (*ONLY_SOURCE, COMPILED)), f"all there, {COMPILED} as source"
            say(f"{platform:24} Python {version}: {problem or how}")
            worst = max(worst, int(bool(problem)))
    return worst


def _missing(platform: str, version: str, from_source: tuple[str, ...]) -> str | None:
    """The resolver's error; None when every package is found."""
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


if __name__ == "__main__":
    sys.exit(main())
