"""A wheel of the project holds the files that are no Python, too, and its parts are what the program takes them for."""

import re
import tomllib
from pathlib import Path

from infra.distribution import NAME, PARTS, TRACKERS, part_of

ROOT = Path(__file__).parents[3]
_DISTRIBUTIONS = {
    "faust": "faust-streaming",
    "lm_eval": "lm-eval",
    "lxml_html_clean": "lxml-html-clean",
    "opentelemetry": "opentelemetry-sdk",
    "prometheus_client": "prometheus-client",
}


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


def test_the_parts_are_the_extras_and_bring_what_the_core_does_not_have() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: {_name(one) for one in project["optional-dependencies"][name]} for name in PARTS}
    core = {_name(one) for one in project["dependencies"]}
    for part, modules in PARTS.items():
        brought = {_DISTRIBUTIONS.get(module, module) for module in modules}
        assert brought <= extras[part], part
        assert not brought & core, part
        assert all(part_of(module) in PARTS for module in modules)
    assert project["optional-dependencies"]["all"] == [f"{NAME}[{','.join(PARTS)}]"]
    assert project["name"] == NAME
    for tracker, modules in TRACKERS.items():
        assert {_name(one) for one in project["optional-dependencies"][tracker]} == set(modules) == {tracker}


def test_the_smallest_part_that_brings_a_module_is_named() -> None:
    for module, part in (
        ("torch.nn", "local"),
        ("deepspeed", "train"),
        ("matplotlib.figure", "plot"),
        ("faust", "run"),
    ):
        assert part_of(module) == part
    assert part_of("msgspec") is None and part_of("torchvision") is None


def test_everything_that_is_pinned_for_a_checkout_has_every_part() -> None:
    pinned = set(re.findall(r"^([\w.-]+)(?:\[.*])?==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        *project["dependencies"],
        *(one for part in (*PARTS, "dev") for one in project["optional-dependencies"][part]),
    }
    assert {_name(one) for one in wanted} <= pinned


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=; ]", requirement)[0]
