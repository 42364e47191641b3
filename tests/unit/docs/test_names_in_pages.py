"""What the pages name exists: files, modules, functions, make targets, commands with their options, settings."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import sedi
from infra.settings import Settings
from schemas.policy import Policy
from schemas.topics import topic_specs
from sedi.main import build
from tests.unit.docs.pages import DOCS, ROOT, command_lines, inline_code, name_of, pages

FOLDERS = ("schemas", "streams", "producers", "consumers", "infra", "sedi", "tests", "benchmarks", "docs", ".ci")
PATH = re.compile(rf"(?<![\w./<-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*)")
DOTTED = re.compile(rf"(?<![\w./-])((?:{'|'.join(FOLDERS[:-2])})(?:\.\w+)+)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")
# Variables that are read apart from the settings.
OTHER_VARIABLES = {"SEDI_CONFIG", "SEDI_NATIVE_CORE", "SEDI_RUN", "SEDI_WEB_TOKEN"}
PLACEHOLDERS = {"SEDI_X"}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = {path.rstrip(".") for code in inline_code(page.read_text(encoding="utf-8")) for path in PATH.findall(code)}
    assert [path for path in sorted(named) if not any(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_modules_and_functions_that_a_page_names_exist(page: Path) -> None:
    named = {name for code in inline_code(page.read_text(encoding="utf-8")) for name in DOTTED.findall(code)}
    assert [name for name in sorted(named) if not name.endswith((".toml", ".json")) and not _is_defined(name)] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = command_lines(page.read_text(encoding="utf-8"))
    named = {target for line in lines for target in re.findall(r"^(?:\$ )?make ([a-z-]+)", line)}
    assert [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    wrong = [
        f"{line}: {fault}"
        for line in command_lines(page.read_text(encoding="utf-8"))
        for use in re.findall(r"(?:(?<=^)|(?<=[ /]))sedi ([a-z][^|;#]*)", line)
        for fault in faults_of(use)
    ]
    assert wrong == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_settings_that_a_page_names_exist(page: Path) -> None:
    known = {f"SEDI_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES | PLACEHOLDERS
    named = set(re.findall(r"\bSEDI_[A-Z0-9_]*[A-Z0-9]\b(?![A-Z0-9_…]|_?…)", page.read_text(encoding="utf-8")))
    assert sorted(named - known) == []


def test_the_configuration_page_names_every_setting_and_every_field_of_the_policy() -> None:
    code = set(inline_code((DOCS / "configuration.md").read_text(encoding="utf-8")))
    missing = [name for name in Settings.model_fields if f"SEDI_{name.upper()}" not in code]
    missing += [name for name in Policy.__struct_fields__ if name not in code]
    assert missing == []


def test_what_the_python_page_calls_is_public() -> None:
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w.])sedi\.(\w+)\(", text))
    assert {"open", "run"} <= named
    assert sorted(named - set(sedi.__all__)) == []


def test_the_index_of_decisions_names_every_decision() -> None:
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name for page in decisions if page.name != "index.md" and f"({page.name})" not in index] == []


def test_the_architecture_page_names_every_topic() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(topic.name for topic in topic_specs())


def test_each_answer_of_the_readers_questions_names_code() -> None:
    _, _, table = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Where is ...?")
    answers = [row.split("|")[2] for row in table.splitlines() if row.startswith("| Wh")]
    assert len(answers) >= 10
    assert [answer for answer in answers if not PATH.search(answer) and not DOTTED.search(answer)] == []


def test_pages_that_the_code_refers_to_exist() -> None:
    code = (path for folder in FOLDERS[:-2] for path in (ROOT / folder).rglob("*.py"))
    named = {name for path in code for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def _is_defined(name: str) -> bool:
    """Whether a dotted name is a package, a module, or something that either of them defines or hands on."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:length])
        package, module = stem / "__init__.py", stem.with_suffix(".py")
        if length == len(parts) and (package.is_file() or module.is_file()):
            return True
        for file in (package, module):
            if file.is_file() and parts[length] in _defined(file):
                return True
    return False


@cache
def _defined(module: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom) and module.name == "__init__.py":
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.If) and module.name == "__init__.py":  # names that are imported when they are used
            imports = (each for each in node.body if isinstance(each, ast.ImportFrom))
            names |= {alias.asname or alias.name for each in imports for alias in each.names}
    return frozenset(names)


def faults_of(use: str) -> list[str]:
    """What is wrong with `use`, the words of a command line after `sedi`."""
    words = use.split()
    command: Any = get_command(build())
    while words and hasattr(command, "commands"):
        command = command.commands.get(words.pop(0).strip("`,.:"))
        if command is None:
            return ["no such command"]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [option for option in OPTION.findall(" ".join(words)) if option not in known | {"--help", *_handed_on(use)}]


def _handed_on(use: str) -> list[str]:
    """Options that `sedi run` hands on to one of its parts: they follow `--generate` or `--train`."""
    return re.findall(r"--(?:generate|train) (--[a-z-]+)", use)
