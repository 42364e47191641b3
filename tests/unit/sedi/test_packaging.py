"""A wheel of the project holds the files that are no Python, too."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_file_that_a_package_reads_is_named_as_its_data() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = [pattern.removesuffix("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    named = project["tool"]["setuptools"]["package-data"]["*"]
    files = [
        file
        for package in packages
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix not in (".py", ".md")
    ]
    assert len(files) > 40
    assert [str(file) for file in files if not any(file.match(pattern) for pattern in named)] == []
