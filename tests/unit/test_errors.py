"""There is one tree of errors. `schemas.errors` draws it; the product raises nothing else that a user could see."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import schemas.errors
from schemas.errors import SediError
from sedi.main import exit_code_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "streams", "producers", "consumers", "infra", "sedi")
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}
LINE = re.compile(r"^    ([ │├└─]*)(\w+Error|\w+) {2,}(\d+)(?: {2,}([\w.]+))?$", re.MULTILINE)
DRAWN = LINE.findall(schemas.errors.__doc__ or "")

# Errors of Python, and how a command ends: they are faults of the program, or no errors.
PYTHONS = {"NotImplementedError", "KeyboardInterrupt", "SystemExit", "typer.Exit", "AttributeError", "ImportError"}
# Exceptions that steer a function's own caller, and never leave the package that they are defined in.
CONTROL_FLOW = {"BodyTooLarge", "CallsHalted", "EndOfVerdicts", "_Ended", "_NotFaithful", "_Refused", "_Unwanted"}
# Modules that may raise ValueError, OSError or BrokenPipeError, and who catches it.
CAUGHT = {
    "consumers/evaluation/statistics.py": "a programming error",
    "streams/core/evaluation/given.py": "a programming error",
    "infra/cluster/addresses.py": "the settings make a ConfigurationError of it",
    "infra/local_broker/broker.py": "`start` makes a BrokerError of it",
    "infra/cluster/listener.py": "a server that does not answer as Kafka does is reported as such",
    "infra/prices.py": "reading the file makes a ConfigurationError of it",
    "producers/backends/base.py": "a programming error",
    "schemas/envelope.py": "`encode` makes a MalformedEvent of it",
    "schemas/events.py": "decoding makes a MalformedEvent of it",
    "schemas/ids.py": "a programming error, or what is no id",
    "sedi/tail.py": "a reader that has gone: no error",
    "streams/core/decider.py": "a programming error",
    "streams/core/embeddings.py": "a programming error",
    "streams/core/kept_so_far.py": "a programming error",
    "streams/core/documents/spans.py": "an audit reports it",
    "streams/core/parse/answers.py": "a programming error",
}


def name_of(node: ast.expr) -> str:
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def raised() -> Iterator[tuple[str, int, ast.expr]]:
    """Every `raise` with something to raise: file, line, and what."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                yield file, node.lineno, node.exc


def is_class(name: str) -> bool:
    return name.rpartition(".")[2].lstrip("_")[:1].isupper()


def classes_of_the_product() -> dict[str, str]:
    """Classes below SediError, by name: the module that defines each."""
    found = {"SediError": "schemas.errors"}
    definitions = [
        (file, node) for file, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    before = 0
    while before < len(found):
        before = len(found)
        for file, node in definitions:
            if any(name_of(base) in found for base in node.bases):
                found[node.name] = file.removesuffix(".py").replace("/", ".")
    return found


def test_the_tree_that_is_drawn_is_the_tree_that_there_is() -> None:
    drawn = {name: module or "schemas.errors" for _, name, _, module in DRAWN}
    assert drawn == classes_of_the_product()
    above: list[type[BaseException]] = [Exception]
    for indent, name, _, _ in DRAWN:
        depth = len(indent) // 4
        kind = getattr(import_module(drawn[name]), name)
        assert kind.__bases__ == (above[depth],), name
        above[depth + 1 :] = [kind]


@pytest.mark.parametrize(("name", "code", "module"), [(name, code, module) for _, name, code, module in DRAWN])
def test_each_ends_a_command_with_the_exit_code_beside_it(name: str, code: str, module: str) -> None:
    kind: type[SediError] = getattr(import_module(module or "schemas.errors"), name)
    assert exit_code_of(kind("Something is wrong.")) == int(code)
    if not module:
        assert re.search(r"[Ee]xit code \d", kind.__doc__ or "")[0].lower() == f"exit code {code}"  # type: ignore[index]


def test_the_product_raises_errors_of_the_tree_and_a_short_list_of_others() -> None:
    known = {name for _, name, _, _ in DRAWN} | PYTHONS | CONTROL_FLOW
    strange = [
        f"{file}:{line}: {name_of(what)}"
        for file, line, what in raised()
        if is_class(name_of(what)) and name_of(what) not in known and file not in CAUGHT
    ]
    assert strange == []


def test_where_other_errors_are_caught_no_further_kinds_are_raised() -> None:
    known = {name for _, name, _, _ in DRAWN} | PYTHONS | CONTROL_FLOW
    found = {
        (file, name_of(what)) for file, _, what in raised() if is_class(name_of(what)) and name_of(what) not in known
    }
    assert {file for file, _ in found} == set(CAUGHT)
    assert {name for _, name in found} == {"ValueError", "OSError", "BrokenPipeError"}


def test_functions_that_make_an_error_to_be_raised_return_one_of_the_tree() -> None:
    returns: dict[str, set[str]] = {}
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                returns.setdefault(node.name, set()).add(ast.unparse(node.returns))
    made = {
        name_of(what).rpartition(".")[2]
        for _, _, what in raised()
        if isinstance(what, ast.Call) and not is_class(name_of(what))
    }
    known = {name for _, name, _, _ in DRAWN}
    variables = {"kind", "final"}  # a class that was chosen between two of the tree
    strange = {
        name: sorted(returns.get(name, ()))
        for name in made - variables
        if not any(set(each.split(" | ")) - {"None"} <= known for each in returns.get(name, ()))
    }
    assert strange == {}
