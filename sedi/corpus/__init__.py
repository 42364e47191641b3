"""`sedi corpus`: the documents of a run. One module a sub-command."""

from types import ModuleType

import typer

from sedi.corpus import add, list_documents, show, withdraw

_COMMANDS: tuple[ModuleType, ...] = (add, list_documents, show, withdraw)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        name="corpus",
        help="The documents that the second producer cuts segments from: add, list, show, withdraw.",
        no_args_is_help=True,
    )
    for command in _COMMANDS:
        command.register(group)
    app.add_typer(group)
